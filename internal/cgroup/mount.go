package cgroup

import (
	"slices"
	"strconv"
	"strings"
)

// cpuGroup finds the cgroup that limits the CPU in the text of
// /proc/self/cgroup. The controller is in one hierarchy only: that of v1 which
// names it, or else v2, whose line begins with 0 and names none.
func cpuGroup(text string) (group string, v1, ok bool) {
	for line := range strings.Lines(text) {
		// The path is last and may hold colons; of line breaks the kernel allows none.
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") {
			continue
		}
		if slices.Contains(strings.Split(f[1], ","), "cpu") {
			return f[2], true, true
		}
		if f[0] == "0" && f[1] == "" {
			group, ok = f[2], true
		}
	}
	return group, false, ok
}

// cgroupMount is a place where the cpu hierarchy, or a part of it, is mounted.
type cgroupMount struct {
	root string // the cgroup that is seen at dir
	dir  string
}

// cpuMounts lists them from the text of /proc/self/mountinfo:
//
//	32 31 0:29 /docker/x /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
//
// where the optional fields before the dash may be many or none.
func cpuMounts(mountinfo string, v1 bool) []cgroupMount {
	var mounts []cgroupMount
	for line := range strings.Lines(mountinfo) {
		// Blanks inside a field are escaped, except in the last: it is left whole.
		head, tail, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		h, t := strings.Split(head, " "), strings.SplitN(tail, " ", 3)
		if len(h) < 6 || len(t) < 3 {
			continue
		}
		if v1 && (t[0] != "cgroup" || !slices.Contains(strings.Split(t[2], ","), "cpu")) {
			continue
		}
		if !v1 && t[0] != "cgroup2" {
			continue
		}
		m := cgroupMount{root: unescape(h[3]), dir: unescape(h[4])}
		// A later mount at the same place hides the one before.
		mounts = slices.DeleteFunc(mounts, func(o cgroupMount) bool { return o.dir == m.dir })
		mounts = append(mounts, m)
	}
	return mounts
}

// relative gives the path of group below the root of the mount, "" for the
// root itself. It is false if the group cannot be reached through this mount,
// be it beside the root or, as the dots of a cgroup namespace tell, above it.
func (m cgroupMount) relative(group string) (string, bool) {
	rel, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/"))
	if !ok || (rel != "" && rel[0] != '/') || rel == "/.." || strings.HasPrefix(rel, "/../") {
		return "", false
	}
	return strings.TrimRight(rel, "/"), true
}

// unescape undoes the octal escapes of mountinfo, such as \040 for a blank.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				c, i = byte(n), i+3
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

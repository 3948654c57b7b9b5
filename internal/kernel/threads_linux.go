package kernel

import (
	"bytes"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const dir = "/proc/self/task"

func (c *Counter) look(enough int, most time.Duration) Count {
	runtime.LockOSThread() // the thread that reads runs, and is not to be counted
	defer runtime.UnlockOSThread()
	self, start := syscall.Gettid(), time.Now()
	if c.at >= len(c.tids) && !c.begin() {
		return Count{}
	}
	for ; c.at < len(c.tids) && len(c.running) < enough; c.at++ {
		if c.at%16 == 15 && time.Since(start) > most {
			return Count{Partial: true}
		}
		if tid := c.tids[c.at]; tid != self && c.runs(tid) {
			c.running = append(c.running, tid)
		}
	}
	if c.at > 0 {
		c.last = c.tids[c.at-1]
	}
	c.running = slices.DeleteFunc(c.running, func(tid int) bool { return tid == self || !c.runs(tid) })
	if len(c.running) < enough && c.at < len(c.tids) { // some have stopped: it is not known yet
		return Count{Partial: true}
	}
	c.at = len(c.tids)
	return Count{Running: len(c.running), Known: true}
}

// begin lists the threads for a new look. It reports false if that is not possible.
func (c *Counter) begin() bool {
	before := c.running
	c.tids, c.at, c.running = c.tids[:0], 0, c.running[:0:0]
	names, err := list()
	if err != nil {
		return false
	}
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			c.tids = append(c.tids, tid)
		}
	}
	slices.Sort(c.tids)
	i, _ := slices.BinarySearch(c.tids, c.last+1)
	c.tids = append(slices.Clone(c.tids[i:]), c.tids[:i]...)
	ran, others := make([]int, 0, len(c.tids)), make([]int, 0, len(c.tids))
	for _, tid := range c.tids {
		if slices.Contains(before, tid) {
			ran = append(ran, tid)
		} else {
			others = append(others, tid)
		}
	}
	c.tids = append(ran, others...)
	return len(c.tids) > 0
}

// list returns the names in dir. It is os.ReadDir without what this takes into a program: each one links it.
func list() (names []string, err error) {
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	for buf := make([]byte, 4096); ; {
		n, err := syscall.ReadDirent(fd, buf)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil, err
		case n <= 0:
			return names, nil
		default:
			_, _, names = syscall.ParseDirent(buf[:n], -1, names)
		}
	}
}

// runs reports whether the thread is in state R. One that has ended is not.
func (c *Counter) runs(tid int) bool {
	if c.buf == nil {
		c.buf = make([]byte, 512)
	}
	fd, err := syscall.Open(dir+"/"+strconv.Itoa(tid)+"/stat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	n, err := syscall.Read(fd, c.buf)
	_ = syscall.Close(fd)
	return err == nil && stateOf(c.buf[:n]) == 'R'
}

// stateOf returns the state in the text of a stat file: 4711 (name) R 4700 ... The name may hold anything.
func stateOf(stat []byte) byte {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 || i+2 >= len(stat) {
		return 0
	}
	return stat[i+2]
}

// allowed asks for two threads, the first of the process and the caller's: a program may pin one of them only.
func allowed() int { return max(allowedOf(0), allowedOf(os.Getpid())) }

func allowedOf(tid int) int {
	var mask [128]uint64 // 8,192 processors
	n, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return 0
	}
	count := 0
	for _, word := range mask[:min(len(mask), (int(n)+7)/8)] {
		count += bits.OnesCount64(word)
	}
	return count
}

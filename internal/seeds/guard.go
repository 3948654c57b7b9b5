package seeds

import (
	"fmt"
	"strings"
	"time"
)

const (
	lookEvery = 100 * time.Millisecond
	lockLooks = 5  // that see the same goroutine wait for a lock, and nobody else go on
	elseLooks = 50 // the same for something else outside of the bubble: a file, a connection, a channel
)

// guard waits until the run is over. It gives up when somebody waits for what the bubble can not see, a lock for instance, and nobody
// goes on: then synctest.Wait would never return.
func (r *run) guard(done <-chan struct{}) {
	tick := time.NewTimer(lookEvery)
	defer tick.Stop()
	looks, progress := 0, r.progress.Load()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			tick.Reset(lookEvery)
		}
		if now := r.progress.Load(); now != progress || r.bubble.Load() == 0 {
			looks, progress = 0, now
			continue
		}
		all := goroutines(r.bubble.Load())
		waiting, locks := foreign(all)
		if len(waiting) == 0 {
			looks = 0
			continue
		}
		if looks++; looks >= elseLooks || locks && looks >= lockLooks {
			r.fail(r.locked(all, waiting, locks))
			return
		}
	}
}

// foreign returns the goroutines of a bubble that wait for something outside of it, unless one of the others runs. locks says
// that there is a lock among it.
func foreign(all []goroutine) (waiting []goroutine, locks bool) {
	for _, g := range all {
		switch {
		case strings.HasPrefix(g.state, "run"): // running, runnable
			return nil, false
		case g.durable || g.state == "synctest.Wait" || g.state == "synctest.Run" || g.state == "sleep":
		default:
			waiting = append(waiting, g)
			locks = locks || strings.HasPrefix(g.state, "sync.")
		}
	}
	return waiting, locks
}

// locked says who waits, and who may hold the lock.
func (r *run) locked(all, waiting []goroutine, lock bool) *failure {
	var b strings.Builder
	if lock {
		b.WriteString("a lock is held across a point: unlock it before, or take it with executor.Lock")
	} else {
		b.WriteString("the test waits for something outside of its bubble")
	}
	names := map[int64]string{}
	for _, a := range r.live {
		names[a.goid.Load()] = a.String()
	}
	for _, g := range waiting {
		if call, site := g.where(); site != "" {
			fmt.Fprintf(&b, "\n  %s waits in %s, %s", nameOf(names, g.id), or(call, g.state), site)
		}
	}
	if lock {
		b.WriteString("\nOne of these holds it:")
		for _, g := range all {
			if at := g.frames(); g.durable && names[g.id] != "" && at != "" { // else it has not begun
				fmt.Fprintf(&b, "\n  %s, at\n%s", names[g.id], at)
			}
		}
	}
	return &failure{kind: Locked, text: strings.TrimRight(b.String(), "\n")}
}

func nameOf(names map[int64]string, id int64) string {
	return or(names[id], fmt.Sprintf("goroutine %d", id))
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

package debugpage

import (
	"context"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Somebody who looks costs one goroutine for each executor looked at, whatever the number of viewers and of
// handlers: the lookout takes a frame a second, and everybody gets that frame. It starts with the first request
// and ends when nobody has asked for lingerAfter and no stream is open, or soon after the executor has ended.

const (
	samplePeriod = time.Second
	lingerAfter  = 10 * time.Second

	// shortestLook is the least time between two looks at the slots, whatever the period of frames is: a look tells
	// which tasks have stood still since the one before. More than stuckAfter.
	shortestLook = 25 * time.Millisecond

	// maxLookouts bounds the goroutines, and with them the history that is kept: some 100 KB each. Who looks at
	// another executor gets frames without a history.
	maxLookouts = 64
)

// hurry, if it is not 0, takes the place of samplePeriod, lingerAfter and heartbeat: tests are in a hurry.
var hurry atomic.Int64

func period() time.Duration { return orHurry(samplePeriod) }
func linger() time.Duration { return orHurry(lingerAfter) }

func orHurry(d time.Duration) time.Duration {
	if h := time.Duration(hurry.Load()); h != 0 {
		return h
	}
	return d
}

// lookouts are those of the process.
var lookouts struct {
	mu sync.Mutex // a leaf
	of map[*executor.Executor]*lookout
}

// lookout is the goroutine that looks at an executor, and its latest frame.
type lookout struct {
	e     *executor.Executor
	o     observer
	track track
	frame atomic.Pointer[snapshot]
	ready chan struct{} // closed when there is a frame

	// Under lookouts.mu.
	asked   time.Time                  // when somebody asked last
	streams map[chan struct{}]struct{} // one place each; told of every frame, and not waited for
}

// snapshot is one look at an executor, rendered once for everybody who wants it.
type snapshot struct {
	state State
	html  func() []byte // a fragment: the section of this executor
	text  func() []byte
}

func newSnapshot(state State) *snapshot {
	f := &snapshot{state: state}
	f.html = sync.OnceValue(func() []byte { return renderSection(&f.state) })
	f.text = sync.OnceValue(func() []byte { return renderText(&f.state) })
	return f
}

// glimpse is a look without a history: at an executor that has ended, or if there are enough lookouts.
func glimpse(e *executor.Executor) *snapshot {
	var o observer
	return newSnapshot(o.see(e))
}

// watch asks for the lookout of e, which then lasts for a while, and as long as stream is registered if that is not
// nil. There is none for an executor that has ended, or if there are enough.
func watch(e *executor.Executor, stream chan struct{}) *lookout {
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	s := lookouts.of[e]
	if s == nil {
		if len(lookouts.of) >= maxLookouts || e.Ended() {
			return nil
		}
		s = &lookout{e: e, ready: make(chan struct{}), streams: make(map[chan struct{}]struct{})}
		if lookouts.of == nil {
			lookouts.of = make(map[*executor.Executor]*lookout)
		}
		lookouts.of[e] = s
		go s.run()
	}
	s.asked = time.Now()
	if stream != nil {
		s.streams[stream] = struct{}{}
	}
	return s
}

// leave takes a stream off. The lookout lingers a little.
func (s *lookout) leave(stream chan struct{}) {
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	delete(s.streams, stream)
	s.asked = time.Now()
}

// over removes the lookout if nobody wants it any more, or if its executor has ended.
func (s *lookout) over() bool {
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	if s.frame.Load().state.Lifecycle != closed && (len(s.streams) > 0 || time.Since(s.asked) < linger()) {
		return false
	}
	delete(lookouts.of, s.e)
	return true
}

func (s *lookout) run() {
	pprof.SetGoroutineLabels(context.Background()) // and none of the request that started it
	defer s.e.Watch()()
	p := s.e.Report()
	s.o.start(&p)
	s.track.look(s.e, &p)
	for due := p.Time; ; { // the first frame is made at the second look
		time.Sleep(max(shortestLook, min(timelineLook, period()/2)))
		p = s.e.Report()
		s.track.look(s.e, &p)
		if p.Time.Before(due) && p.Lifecycle != closed {
			continue
		}
		due = p.Time.Add(period() - timelineLook/2)
		s.publish(&p)
		if s.over() {
			return
		}
	}
}

// publish makes a frame and tells the streams.
func (s *lookout) publish(p *executor.Report) {
	if s.frame.Swap(newSnapshot(s.o.seeReport(s.e, p))) == nil {
		close(s.ready)
	}
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	for stream := range s.streams {
		select {
		case stream <- struct{}{}:
		default: // it is still busy with an earlier one, and will find this one too
		}
	}
}

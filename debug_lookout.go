package executor

import (
	"cmp"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// Somebody who looks costs one goroutine for each executor looked at, whatever the number of viewers: the
// lookout takes a frame a second, and everybody gets that frame. It starts with the first request and ends
// when nobody has asked for lingerAfter and no stream is open, or when the executor ends.

const (
	samplePeriod = time.Second
	lingerAfter  = 10 * time.Second

	// glance is how long before a frame each task's progress is looked at, so that the frame can tell which
	// tasks stand still. More than stuckAfter.
	glance = 25 * time.Millisecond
)

// debugger is what an executor needs to be looked at. At rest it is empty but for the events.
type debugger struct {
	events  events
	pending atomic.Pointer[lookout] // for the keeper to start, so that it inherits nothing
	mu      sync.Mutex              // a leaf
	lookout *lookout                // nil while nobody looks
	closed  bool                    // no lookout starts any more

	period, linger time.Duration // samplePeriod and lingerAfter, if 0: tests are in a hurry
}

// lookout is the goroutine that looks at an executor, and its latest frame.
type lookout struct {
	o     observer
	frame atomic.Pointer[snapshot]
	ready chan struct{} // closed when there is a frame
	quit  chan struct{} // closed when the executor ends

	period, linger time.Duration

	// Under debugger.mu.
	asked   time.Time                  // when somebody asked last
	streams map[chan struct{}]struct{} // one place each; told of every frame, and not waited for
}

// snapshot is one look at an executor, rendered once for everybody who wants it.
type snapshot struct {
	state DebugState
	html  func() []byte // a fragment: the section of this executor
	text  func() []byte
}

func newSnapshot(state DebugState) *snapshot {
	f := &snapshot{state: state}
	f.html = sync.OnceValue(func() []byte { return renderSection(&f.state) })
	f.text = sync.OnceValue(func() []byte { return renderText(&f.state) })
	return f
}

// view asks for the lookout, which then lasts for a while, and as long as stream is registered if it
// is not nil. After the end of the executor there is none.
func (e *Executor) view(stream chan struct{}) *lookout {
	d := &e.debug
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	s := d.lookout
	if s == nil {
		s = &lookout{
			o: observer{e: e}, ready: make(chan struct{}), quit: make(chan struct{}),
			period: cmp.Or(d.period, samplePeriod), linger: cmp.Or(d.linger, lingerAfter), streams: make(map[chan struct{}]struct{}),
		}
		d.lookout = s
		e.group.Add(1) // before close says that there are no more
		d.pending.Store(s)
		e.keeper.poke()
	}
	s.asked = time.Now()
	if stream != nil {
		s.streams[stream] = struct{}{}
	}
	return s
}

// leave takes a stream off. The lookout lingers a little.
func (d *debugger) leave(s *lookout, stream chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(s.streams, stream)
	s.asked = time.Now()
}

// launch starts the lookout that somebody asked for. Only the keeper calls it.
func (d *debugger) launch() {
	if d.pending.Load() == nil {
		return
	}
	go d.pending.Swap(nil).run()
}

// close ends the lookout, for good. The last frame says so.
func (d *debugger) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.lookout != nil {
		close(d.lookout.quit)
	}
}

// unused ends the lookout if nobody wants it any more.
func (d *debugger) unused(s *lookout) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(s.streams) > 0 || time.Since(s.asked) < s.linger {
		return false
	}
	if d.lookout == s {
		d.lookout = nil
	}
	return true
}

func (s *lookout) run() {
	e := s.o.e
	defer e.group.Done()
	pprof.SetGoroutineLabels(e.labels)
	e.viewers.Add(1)
	defer e.viewers.Add(-1)

	s.o.start()
	ticker := time.NewTicker(glance) // the first frame comes soon
	defer ticker.Stop()
	for glanced := true; ; glanced = !glanced {
		select {
		case <-s.quit:
			s.publish()
			return
		case <-ticker.C:
		}
		if !glanced {
			s.o.slots(time.Now())
			ticker.Reset(glance)
			continue
		}
		s.publish()
		if e.debug.unused(s) {
			return
		}
		ticker.Reset(max(s.period-glance, time.Millisecond))
	}
}

// publish takes a frame and tells the streams.
func (s *lookout) publish() {
	d := &s.o.e.debug
	s.publishFrame(newSnapshot(s.o.look()))
	d.mu.Lock()
	defer d.mu.Unlock()
	for stream := range s.streams {
		select {
		case stream <- struct{}{}:
		default: // it is still busy with an earlier one, and will find this one too
		}
	}
}

func (s *lookout) publishFrame(f *snapshot) {
	if s.frame.Swap(f) == nil {
		close(s.ready)
	}
}

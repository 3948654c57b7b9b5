package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// drain ends what the worker holds. cancel ends the contexts of handlers.
func (w *Worker) drain(ctx, base context.Context, cancel context.CancelCauseFunc) error {
	w.mu.Lock()
	list := make([]*held, 0, len(w.held))
	for h := range w.held {
		list = append(list, h)
	}
	w.mu.Unlock()
	var back sync.WaitGroup
	for _, h := range list {
		back.Go(func() { w.giveBack(base, h) })
	}
	back.Wait()

	grace := time.NewTimer(w.cfg.grace)
	defer grace.Stop()
	check := time.NewTicker(100 * time.Millisecond)
	defer check.Stop()
	for {
		w.mu.Lock()
		left, alive, changed := len(w.held), 0, w.changed
		for h := range w.held {
			if time.Now().Before(h.until) {
				alive++
			}
		}
		w.mu.Unlock()
		switch {
		case left == 0:
			return w.hush()
		case alive == 0: // the broker has given them to others
			return fmt.Errorf("jobs: %d handlers go on after their deadlines", left)
		}
		select {
		case <-changed:
		case <-check.C:
		case <-grace.C:
			w.cfg.log.Warn("jobs: the grace of the drain is over: ending the contexts of jobs", slog.Int("jobs", left))
			cancel(ErrDraining)
		}
	}
}

// hush lets the source tell the broker all that it has to.
func (w *Worker) hush() error {
	d, ok := w.src.(Drainer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(w.r.lease, 10*time.Second))
	defer cancel()
	if err := d.Drain(ctx); err != nil {
		return fmt.Errorf("jobs: the broker was not told everything: %w", err)
	}
	return nil
}

// beat keeps alive what the worker holds, each job until its own deadline: one clock for all.
func (w *Worker) beat(ctx context.Context, stop <-chan struct{}) {
	if w.r.lease <= 0 {
		<-stop
		return
	}
	every := max(w.r.lease/3, time.Millisecond)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var list []*held
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		list = list[:0]
		w.mu.Lock()
		for h := range w.held {
			w.late(h, time.Now())
			switch {
			case time.Now().Before(h.until):
				list = append(list, h)
			case !h.overdue:
				h.overdue = true
				w.r.count.overdue.Add(1)
				m := h.d.Message()
				w.cfg.log.Warn("jobs: a job's deadline is over and its handler goes on; the broker gives the job to another worker",
					slog.String("kind", m.Kind), slog.String("id", m.ID))
			}
		}
		w.mu.Unlock()
		for _, h := range list {
			call, cancel := context.WithTimeout(context.WithoutCancel(ctx), every)
			asked := time.Now()
			err := h.d.Extend(call)
			cancel()
			w.mu.Lock()
			_, holds := w.held[h]
			if err == nil {
				h.told = asked
			}
			w.mu.Unlock()
			if err != nil && holds {
				w.r.count.extendErrors.Add(1)
				w.r.count.note(err)
			}
		}
		clear(list)
	}
}

// look reads the depth of the queue now and then, for Stats.
func (w *Worker) look(ctx context.Context, stop <-chan struct{}) {
	gauge, ok := w.src.(Gauge)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() { // the end must not wait for the broker
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		call, done := context.WithTimeout(ctx, 5*time.Second)
		depth, err := gauge.Depth(call)
		done()
		w.r.count.mu.Lock()
		if err == nil {
			w.r.count.depth, w.r.count.seen = depth, time.Now()
		}
		w.r.count.mu.Unlock()
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Second):
		}
	}
}

package jobs

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a worker did, and holds. Counters only grow.
type Stats struct {
	Held    int // deliveries that this worker has
	Waiting int // those of Held whose handler has not begun

	Received    uint64 // deliveries
	Redelivered uint64 // those that were not a job's first attempt
	Done        uint64 // acknowledged
	Retried     uint64 // failed, and sent back for another attempt
	Returned    uint64 // given back untried
	Dead        uint64 // dead letters

	ReceiveErrors uint64
	SettleErrors  uint64 // ends that the broker was not told: the job comes again
	ExtendErrors  uint64
	Lost          uint64 // jobs whose lease was over before the broker was told again that they live: others may run them too
	Overdue       uint64 // jobs whose deadline passed while their handler went on

	MeanRun     time.Duration // of the last handlers, a moving average
	Lease       time.Duration
	MaxInFlight int
	Prefetch    int
	Slots       int

	Depth     Depth // of the queue, as last seen
	DepthAt   time.Time
	LastError string // of the broker
	Kinds     map[string]KindStats
}

// KindStats is the part of one kind.
type KindStats struct{ Done, Retried, Returned, Dead uint64 }

// counts are the books of a worker.
type counts struct {
	received, redelivered                                    atomic.Uint64
	receiveErrors, settleErrors, extendErrors, lost, overdue atomic.Uint64

	mu    sync.Mutex
	mean  time.Duration
	last  string
	kinds map[string]*KindStats
	depth Depth
	seen  time.Time
}

func (c *counts) ran(d time.Duration, kind string) {
	c.mu.Lock()
	if c.mean == 0 {
		c.mean = d
	}
	c.mean += (d - c.mean) / 16
	c.mu.Unlock()
}

func (c *counts) note(err error) {
	c.mu.Lock()
	c.last = short(err)
	c.mu.Unlock()
}

// maxKinds bounds what names of strangers can take.
const maxKinds = 256

func (c *counts) settled(v verdict, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kinds[name]
	if k == nil {
		if len(c.kinds) >= maxKinds {
			if name = "(others)"; c.kinds[name] != nil {
				k = c.kinds[name]
			}
		}
		if k == nil {
			if c.kinds == nil {
				c.kinds = make(map[string]*KindStats)
			}
			k = new(KindStats)
			c.kinds[name] = k
		}
	}
	switch v {
	case ack:
		k.Done++
	case retry:
		k.Retried++
	case giveBack:
		k.Returned++
	default:
		k.Dead++
	}
}

func (c *counts) fill(s *Stats) {
	s.Received, s.Redelivered = c.received.Load(), c.redelivered.Load()
	s.ReceiveErrors, s.SettleErrors = c.receiveErrors.Load(), c.settleErrors.Load()
	s.ExtendErrors, s.Lost, s.Overdue = c.extendErrors.Load(), c.lost.Load(), c.overdue.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.MeanRun, s.LastError, s.Depth, s.DepthAt = c.mean, c.last, c.depth, c.seen
	s.Kinds = make(map[string]KindStats, len(c.kinds))
	for name, k := range maps.All(c.kinds) {
		s.Kinds[name] = *k
		s.Done += k.Done
		s.Retried += k.Retried
		s.Returned += k.Returned
		s.Dead += k.Dead
	}
}

// Advice is one thing that is not as it should be, and what to do about it.
type Advice struct{ Kind, Problem, Remedy string }

// Advise reads a worker's Stats.
func Advise(s Stats) (list []Advice) {
	slots := max(s.Slots, 1)
	if hold := time.Duration(s.Prefetch) * s.MeanRun / time.Duration(slots); s.Prefetch > 0 && s.Lease > 0 && hold > s.Lease/3 {
		list = append(list, Advice{"prefetch",
			fmt.Sprintf("A job that is fetched ahead waits for about %v before it starts, and the broker's ack wait is %v.", hold.Round(time.Millisecond), s.Lease),
			"Lower Prefetch: idle workers elsewhere could run those jobs."})
	}
	if s.ExtendErrors > 0 || s.SettleErrors > 0 {
		list = append(list, Advice{"ack-wait",
			fmt.Sprintf("The broker was not told %d times that a job is alive, and %d times that it ended. Such jobs run twice. Last error: %s", s.ExtendErrors, s.SettleErrors, s.LastError),
			"If the network is sound, raise the ack wait: it must outlast a pause of the process and of the broker."})
	}
	if s.Lost > 0 {
		list = append(list, Advice{"ack-wait",
			fmt.Sprintf("The broker was told too late %d times that a job is alive: its ack wait of %v was over, and the job may run twice.", s.Lost, s.Lease),
			"Raise the ack wait: it must outlast the longest pause of this process. Or give the process more processor time."})
	} else if s.Lease > 0 && s.MeanRun > 10*s.Lease {
		list = append(list, Advice{"ack-wait",
			fmt.Sprintf("A job runs for about %v, and with an ack wait of %v the broker is told about %d times that it is alive.", s.MeanRun.Round(time.Millisecond), s.Lease, 3*s.MeanRun/s.Lease),
			"Raise the ack wait: a job of a worker that died waits so long, which is little beside its run."})
	}
	if s.Overdue > 0 {
		list = append(list, Advice{"deadline",
			fmt.Sprintf("%d jobs went on after their deadline. Another worker runs them beside.", s.Overdue),
			"Let the handler obey its context, or raise Deadline."})
	}
	for name, k := range s.Kinds {
		if k.Dead > 0 && k.Dead*20 >= k.Done+k.Dead {
			list = append(list, Advice{"poison",
				fmt.Sprintf("%d of %d jobs of kind %s are dead letters.", k.Dead, k.Done+k.Dead, name),
				"Read their reasons; when the cause is mended, send them again."})
		}
	}
	if s.Depth.Oldest > 10*time.Minute && s.Depth.Waiting > 0 {
		list = append(list, Advice{"backlog",
			fmt.Sprintf("The oldest of %d waiting jobs is %v old.", s.Depth.Waiting, s.Depth.Oldest.Round(time.Second)),
			"Start more workers, or raise MaxInFlight if the handlers wait inside Blocking."})
	}
	return list
}

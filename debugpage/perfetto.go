package debugpage

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"
)

// A timeline for Perfetto, https://ui.perfetto.dev: a Trace of TrackEvents, protocol buffers written by hand. The numbers
// are those of perfetto's protos/perfetto/trace/{trace,trace_packet}.proto and track_event/*.proto.

// message is a message of a protocol buffer in the making.
type message []byte

func (m *message) number(field int, v uint64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, v)
}

func (m *message) fixed(field int, v uint64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|1)
	*m = binary.LittleEndian.AppendUint64(*m, v)
}

func (m *message) text(field int, v string) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(v)))
	*m = append(*m, v...)
}

func (m *message) inner(field int, fill func(*message)) {
	var in message
	fill(&in)
	m.text(field, string(in))
}

const (
	sliceBegin, sliceEnd, instant, counter = 1, 2, 3, 4 // TrackEvent.Type

	sequence = 1
)

// measuredTrack is a track of a slot's measured tasks, and when it is free.
type measuredTrack struct {
	id   uint64
	free time.Duration
}

// perfetto makes a trace of the timeline. Every slot is a track, with others below it for the tasks that were measured, for spans
// of a track must not overlap: a task that blocks may end in its slot while another one runs there. A flow leads from the slot
// that submitted a task to the task.
func (tl *Timeline) perfetto() []byte {
	var trace message
	packet := func(fill func(*message)) {
		trace.inner(1, func(p *message) {
			p.number(10, sequence)
			fill(p)
		})
	}
	base := uint64(tl.From.UnixNano())
	name := fnv.New64a()
	name.Write([]byte(tl.Executor))
	root := name.Sum64() | 1<<63
	next := root
	newTrack := func() uint64 { next++; return next }
	track := func(id, parent uint64, label string, isCounter bool) {
		packet(func(p *message) {
			p.inner(60, func(d *message) { // track_descriptor
				d.number(1, id)
				d.text(2, label)
				if parent != 0 {
					d.number(5, parent)
				}
				if isCounter {
					d.inner(8, func(*message) {})
				}
			})
		})
	}
	event := func(at uint64, fill func(*message)) {
		packet(func(p *message) {
			p.number(8, base+at)
			p.inner(11, fill)
		})
	}
	// The first packet of a sequence says that nothing before it is needed.
	packet(func(p *message) { p.number(13, 1) })
	track(root, 0, "executor "+tl.Executor, false)
	slots, submits, measured := make(map[int]uint64), make(map[int]uint64), make(map[int][]measuredTrack)
	for _, slot := range tl.Slots {
		slots[slot], submits[slot] = newTrack(), newTrack()
		track(slots[slot], root, fmt.Sprintf("slot %d", slot), false)
		track(submits[slot], slots[slot], "submits", false)
	}
	// room returns a track of the slot's measured tasks that is free by then.
	room := func(s *Span) uint64 {
		for i := range measured[s.Slot] {
			if t := &measured[s.Slot][i]; t.free <= s.Start {
				t.free = s.End
				return t.id
			}
		}
		t := measuredTrack{newTrack(), s.End}
		measured[s.Slot] = append(measured[s.Slot], t)
		track(t.id, slots[s.Slot], "measured tasks", false)
		return t.id
	}
	counters := make(map[string]uint64)
	for _, label := range []string{"queued", "blocking", "waiting", "yields", "lent"} {
		counters[label] = newTrack()
		track(counters[label], root, label, true)
	}
	for i, s := range tl.Spans {
		id, label := slots[s.Slot], s.Task
		if label == "" {
			label = "task"
		}
		if s.State != "running" {
			label = s.State + " " + label
		}
		if s.Exact {
			id = room(&s)
			if submits[s.By] != 0 {
				event(uint64(s.Submitted), func(e *message) {
					e.number(9, instant)
					e.number(11, submits[s.By])
					e.text(23, "submits "+label)
					e.fixed(47, root+uint64(i))
				})
			}
		}
		event(uint64(s.Start), func(e *message) {
			e.number(9, sliceBegin)
			e.number(11, id)
			e.text(22, s.State)
			e.text(23, label)
			if s.Exact && submits[s.By] != 0 {
				e.fixed(47, root+uint64(i)) // flow_ids
			}
			for _, is := range []struct {
				name string
				v    bool
			}{{"many short tasks", s.Many}, {"lent slot", s.Lent}, {"measured", s.Exact}, {"failed", s.Failed}} {
				if is.v {
					e.inner(4, func(a *message) { // debug_annotations
						a.text(10, is.name)
						a.number(2, 1)
					})
				}
			}
		})
		event(uint64(s.End), func(e *message) {
			e.number(9, sliceEnd)
			e.number(11, id)
		})
	}
	for _, c := range tl.Counts {
		for label, v := range map[string]uint64{
			"queued": uint64(c.Queued), "blocking": uint64(c.Blocking), "waiting": uint64(c.Waiting), "yields": c.Yields, "lent": uint64(c.Lent),
		} {
			event(uint64(c.Time), func(e *message) {
				e.number(9, counter)
				e.number(11, counters[label])
				e.number(30, v)
			})
		}
	}
	return trace
}

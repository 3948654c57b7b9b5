package stresstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// perfettoSchema is the part of Perfetto's schema that a trace of ours may use, with the numbers and types of its
// protos/perfetto/trace: a field that is unknown here is a mistake.
const perfettoSchema = `
name: "perfetto.proto" package: "perfetto.protos" syntax: "proto2"
message_type { name: "Trace"
	field { name: "packet" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".perfetto.protos.TracePacket" } }
message_type { name: "TracePacket"
	field { name: "timestamp" number: 8 label: LABEL_OPTIONAL type: TYPE_UINT64 }
	field { name: "trusted_packet_sequence_id" number: 10 label: LABEL_OPTIONAL type: TYPE_UINT32 }
	field { name: "track_event" number: 11 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".perfetto.protos.TrackEvent" }
	field { name: "sequence_flags" number: 13 label: LABEL_OPTIONAL type: TYPE_UINT32 }
	field { name: "track_descriptor" number: 60 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".perfetto.protos.TrackDescriptor" } }
message_type { name: "TrackDescriptor"
	field { name: "uuid" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT64 }
	field { name: "name" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
	field { name: "parent_uuid" number: 5 label: LABEL_OPTIONAL type: TYPE_UINT64 }
	field { name: "counter" number: 8 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".perfetto.protos.CounterDescriptor" } }
message_type { name: "CounterDescriptor" }
message_type { name: "DebugAnnotation"
	field { name: "bool_value" number: 2 label: LABEL_OPTIONAL type: TYPE_BOOL }
	field { name: "name" number: 10 label: LABEL_OPTIONAL type: TYPE_STRING } }
message_type { name: "TrackEvent"
	field { name: "debug_annotations" number: 4 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".perfetto.protos.DebugAnnotation" }
	field { name: "type" number: 9 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".perfetto.protos.TrackEvent.Type" }
	field { name: "track_uuid" number: 11 label: LABEL_OPTIONAL type: TYPE_UINT64 }
	field { name: "categories" number: 22 label: LABEL_REPEATED type: TYPE_STRING }
	field { name: "name" number: 23 label: LABEL_OPTIONAL type: TYPE_STRING }
	field { name: "counter_value" number: 30 label: LABEL_OPTIONAL type: TYPE_INT64 }
	field { name: "flow_ids" number: 47 label: LABEL_REPEATED type: TYPE_FIXED64 }
	enum_type { name: "Type" value { name: "TYPE_UNSPECIFIED" number: 0 } value { name: "TYPE_SLICE_BEGIN" number: 1 }
		value { name: "TYPE_SLICE_END" number: 2 } value { name: "TYPE_INSTANT" number: 3 } value { name: "TYPE_COUNTER" number: 4 } } }
`

// slice is a span of a task as a trace has it: on which kind of track, what, and when.
type slice struct {
	track, name string
	start, end  uint64
}

// readTrace reads a trace by the schema, and checks what Perfetto expects: tracks are described before they are used, slices begin
// and end in turn, flows have two ends.
func readTrace(t *testing.T, data []byte) (slices []slice, flows int) {
	t.Helper()
	var file descriptorpb.FileDescriptorProto
	require.NoError(t, prototext.Unmarshal([]byte(perfettoSchema), &file))
	schema, err := protodesc.NewFile(&file, nil)
	require.NoError(t, err)
	trace := dynamicpb.NewMessage(schema.Messages().ByName("Trace"))
	require.NoError(t, proto.Unmarshal(data, trace))
	tracks, open, ends := make(map[uint64]string), make(map[uint64]slice), make(map[uint64]int)
	type event struct {
		at, track uint64
		begins    bool
		name      string
	}
	var events []event
	var known func(m protoreflect.Message)
	known = func(m protoreflect.Message) {
		require.Empty(t, m.GetUnknown(), "a field of %s that Perfetto does not have", m.Descriptor().Name())
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case f.Kind() != protoreflect.MessageKind:
			case f.IsList():
				for i := range v.List().Len() {
					known(v.List().Get(i).Message())
				}
			default:
				known(v.Message())
			}
			return true
		})
	}
	known(trace)
	field := func(m protoreflect.Message, name string) protoreflect.Value {
		return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
	}
	has := func(m protoreflect.Message, name string) bool {
		return m.Has(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
	}
	packets := field(trace, "packet").List()
	for i := range packets.Len() {
		p := packets.Get(i).Message()
		require.NotZero(t, field(p, "trusted_packet_sequence_id").Uint())
		if has(p, "track_descriptor") {
			d := field(p, "track_descriptor").Message()
			tracks[field(d, "uuid").Uint()] = field(d, "name").String()
			if has(d, "parent_uuid") {
				require.Contains(t, tracks, field(d, "parent_uuid").Uint())
			}
		}
		if !has(p, "track_event") {
			continue
		}
		ev, at := field(p, "track_event").Message(), field(p, "timestamp").Uint()
		id := field(ev, "track_uuid").Uint()
		require.Contains(t, tracks, id)
		for i, all := 0, field(ev, "flow_ids").List(); i < all.Len(); i++ {
			ends[all.Get(i).Uint()]++
		}
		switch kind := field(ev, "type").Enum(); kind {
		case 1, 2:
			events = append(events, event{at, id, kind == 1, field(ev, "name").String()})
		}
	}
	sort.SliceStable(events, func(i, j int) bool { return events[i].at < events[j].at }) // as Perfetto does
	for _, ev := range events {
		if s, is := open[ev.track]; ev.begins {
			require.False(t, is, "slices of a track overlap")
			open[ev.track] = slice{track: tracks[ev.track], name: ev.name, start: ev.at}
		} else {
			require.True(t, is, "a slice ends that has not begun")
			s.end = ev.at
			slices = append(slices, s)
			delete(open, ev.track)
		}
	}
	require.Empty(t, open)
	for id, n := range ends {
		require.Equal(t, 2, n, "ends of the flow %d", id)
	}
	return slices, len(ends)
}

// Everywhere the same truth: at rest the browser's page, text, JSON, the overview, the terminal, the timeline and the trace for Perfetto say
// what Stats and TaskStats say.
//
// Mutants: the timeline's zero is another one in the trace; a counter is in a field that there is not; measured tasks of a slot share
// a track; a flow has one end.
func TestPage_TheSameTruthEverywhere(t *testing.T) {
	e, err := executor.New(executor.WithName("truth"), executor.WithSlots(2), executor.WithHistogramSampling(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	server := httptest.NewServer(debugpage.Handler(e))
	defer server.Close()
	get := func(format string) string {
		res, err := http.Get(server.URL + "/?format=" + format)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(body)
	}
	get("json") // from here on somebody looks
	for i := range 40 {
		f, err := executor.Submit(executor.WithTaskName(context.Background(), "parent"), e, func(ctx context.Context) (int, error) {
			child, err := executor.Submit(executor.WithTaskName(ctx, "child"), e, func(context.Context) (int, error) { return 0, errors.New("no") })
			require.NoError(t, err)
			_, _ = child.Wait(ctx)
			if i%10 == 0 {
				panic("oh")
			}
			return 0, nil
		})
		require.NoError(t, err)
		_, _ = f.Wait(context.Background())
	}
	// A task that blocks ends in its slot while another one runs there.
	first, others, started := make(chan struct{}), make(chan struct{}), make(chan struct{})
	blocking, err := executor.Submit(executor.WithTaskName(context.Background(), "blocking"), e, func(ctx context.Context) (int, error) {
		executor.Blocking(ctx, func() { started <- struct{}{}; <-first })
		return 0, nil
	})
	require.NoError(t, err)
	<-started
	for range 2 {
		require.NoError(t, e.Go(executor.WithTaskName(context.Background(), "other"), func(context.Context) { started <- struct{}{}; <-others }))
		<-started
	}
	close(first)
	_, err = blocking.Wait(context.Background())
	require.NoError(t, err)
	close(others)
	require.NoError(t, e.Quiesce(context.Background()))
	s := e.Stats()

	var r debugpage.Report
	require.Eventually(t, func() bool { // a frame is made once a second
		require.NoError(t, json.Unmarshal([]byte(get("json")), &r))
		return r.Executors[0].Stats.Submitted == s.Submitted && r.Executors[0].Stats.Running == 0
	}, 30*time.Second, 30*time.Millisecond)
	d := r.Executors[0]
	require.Equal(t, []uint64{s.Submitted, s.Completed, s.Failed, s.Panicked, s.Canceled}, []uint64{d.Stats.Submitted, d.Stats.Completed, d.Stats.Failed, d.Stats.Panicked, d.Stats.Canceled})
	for i, n := range e.TaskStats() {
		require.Equal(t, n.Count, d.Named[i].Count)
		require.Equal(t, n.Failed, d.Named[i].Failed)
	}
	page, text := get("html"), get("text")
	for label, n := range map[string]uint64{"submitted": s.Submitted, "completed": s.Completed, "of these with an error": s.Failed, "panicked": s.Panicked, "canceled": s.Canceled} {
		require.Regexp(t, fmt.Sprintf(`<th scope="row">%s</th><td[^>]*>%d</td>`, label, n), page)
		require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`(?m)^  %s +%d$`, label, n)), text)
	}
	for _, n := range d.Named {
		require.Regexp(t, fmt.Sprintf(`>%s</th><td[^>]*>[^<]*</td><td>%d</td><td[^>]*>%d</td>`, n.Name, n.Count, n.Failed), page)
	}
	var list debugpage.Overview
	require.NoError(t, json.Unmarshal([]byte(get("list")), &list))
	require.Equal(t, s.Slots, list.Executors[0].Slots)
	require.Equal(t, "idle", list.Executors[0].State)

	exectop := filepath.Join(t.TempDir(), "exectop")
	build := exec.Command("go", "build", "-o", exectop, ".")
	build.Dir, build.Env = "../cmd/exectop", append(build.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(exectop, server.URL).Output()
	require.NoError(t, err)
	require.Contains(t, string(out), fmt.Sprintf("submitted %d  completed %d (failed %d)  panicked %d  canceled %d  rejected 0", s.Submitted, s.Completed, s.Failed, s.Panicked, s.Canceled))
	for _, n := range d.Named {
		require.Regexp(t, fmt.Sprintf(`%s +[\d.]+ +%d +%d +%d`, n.Name, n.Count, n.Failed, n.Panicked), string(out))
	}

	var all debugpage.Timelines
	require.NoError(t, json.Unmarshal([]byte(get("timeline")), &all))
	tl := all.Timelines[0]
	drawn, flows := readTrace(t, []byte(get("perfetto")))
	require.Positive(t, flows)
	var shown, traced []string
	line := func(name string, start, end uint64) string { return fmt.Sprintf("%s %d %d", name, start, end) }
	for _, span := range tl.Spans {
		if span.Exact {
			shown = append(shown, line(span.Task, uint64(tl.From.Add(span.Start).UnixNano()), uint64(tl.From.Add(span.End).UnixNano())))
		}
	}
	for _, one := range drawn {
		if strings.HasPrefix(one.track, "measured") {
			traced = append(traced, line(one.name, one.start, one.end))
		}
	}
	slices.Sort(shown)
	slices.Sort(traced)
	require.NotEmpty(t, shown)
	require.Equal(t, shown, traced)
}

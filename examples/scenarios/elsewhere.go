package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// Some measurements need a process of their own. Go keeps threads that it has started once, so what other scenarios
// have left behind would be counted too; and a CPU quota is for whole processes. The process is this program again,
// told by its environment what to measure.
const (
	elsewhereName  = "SCENARIOS_MEASURE"
	elsewhereScale = "SCENARIOS_SCALE"
)

// elsewhere are the measurements that run in a process of their own. What they return goes through JSON.
var elsewhere = map[string]func(*trial) (any, error){
	"cgo-flood before":       cgoFloodGoroutines,
	"cgo-flood after":        cgoFloodBulkhead,
	"container-quota before": containerQuotaMachine,
	"container-quota after":  containerQuotaSlots,
	"idle-threads before":    idleThreadsPool,
	"idle-threads after":     idleThreadsBlocking,
	"idle-threads on thread": idleThreadsOnThread,
}

// told reports whether this process is to measure something for another one, and does it.
func told() bool {
	name := os.Getenv(elsewhereName)
	if name == "" {
		return false
	}
	if err := measure(name, os.Getenv(elsewhereScale)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func measure(name, factor string) error {
	do := elsewhere[name]
	scale, err := strconv.ParseFloat(factor, 64)
	if do == nil || err != nil {
		return fmt.Errorf("%s=%q %s=%q: nothing to measure", elsewhereName, name, elsewhereScale, factor)
	}
	t := &trial{timeline: newTimeline(), ctx: context.Background(), scale: scale}
	result, err := do(t)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(sent{result, newSentPicture(t.end())})
}

// sent is what the other process prints.
type sent struct {
	Result  any
	Picture sentPicture
}

type sentPicture struct {
	Labels []string
	Lanes  [][][3]int64 // of spans: kind, begin, end
	Took   time.Duration
}

func newSentPicture(p picture) sentPicture {
	s := sentPicture{Labels: p.labels, Took: p.took}
	for _, lane := range p.lanes {
		var spans [][3]int64
		for _, x := range lane {
			spans = append(spans, [3]int64{int64(x.kind), int64(x.begin), int64(x.end)})
		}
		s.Lanes = append(s.Lanes, spans)
	}
	return s
}

// askElsewhere has something measured in another process, and stores what it returned in result. Its timeline becomes
// that of t. The arguments of wrap, if there are any, go before the program's name on the command line.
func askElsewhere(t *trial, name string, result any, wrap ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	line := append(wrap, self)
	cmd := exec.CommandContext(t.ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), elsewhereName+"="+name, elsewhereScale+"="+strconv.FormatFloat(t.scale, 'g', -1, 64))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if t.ctx.Err() != nil {
		return t.ctx.Err()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s in a process of its own: %w", name, err), errors.New(complaints.String()))
	}
	got := sent{Result: result}
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("%s in a process of its own: %w", name, err)
	}
	t.adopt(got.Picture)
	return nil
}

// adopt ends the timeline with a picture that was recorded elsewhere.
func (tl *timeline) adopt(p sentPicture) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.ended = &picture{labels: p.Labels, took: p.Took}
	for _, lane := range p.Lanes {
		var spans []span
		for _, s := range lane {
			spans = append(spans, span{int(s[0]), time.Duration(s[1]), time.Duration(s[2])})
		}
		tl.ended.lanes = append(tl.ended.lanes, spans)
	}
}

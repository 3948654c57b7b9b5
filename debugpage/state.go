package debugpage

import (
	"time"

	"github.com/seed-97bda89a/executor"
)

// Report is what the page answers with ?format=json.
type Report struct {
	Executors []State `json:"executors"` // by name

	// Bulkheads are those of the process, in the order in which they were made.
	Bulkheads []executor.BulkheadStats `json:"bulkheads"`

	// Tables are those of [Show].
	Tables []Table `json:"tables,omitempty"`
}

// State is what the page shows of one executor. Durations are in nanoseconds. Fields and values may be
// added; none changes its name or its meaning within a major version.
type State struct {
	Name      string        `json:"name"`
	Lifecycle string        `json:"lifecycle"` // open, draining (Shutdown), stopping (Close) or closed
	Time      time.Time     `json:"time"`      // of this look
	Since     time.Time     `json:"since"`     // when the executor was made
	Budget    time.Duration `json:"budget"`
	MaxSpares int           `json:"maxSpares"`

	Stats      executor.Stats       `json:"stats"`
	Sizing     executor.Sizing      `json:"sizing"`
	Throttling *executor.Throttling `json:"throttling,omitempty"` // absent without a CPU quota
	Runners    Runners              `json:"runners"`
	Slots      []Slot               `json:"slots"` // at most 512: of more, those whose tasks have been there for the longest

	States map[string]int `json:"states"` // how many slots are in each state, also of those that are not in Slots

	Groups []executor.GroupInfo `json:"groups"` // those that have tasks, the largest first; at most 100

	Wait Times `json:"wait"` // from submission to start
	Run  Times `json:"run"`  // from start to end

	History []Point `json:"history"` // one for each second, oldest first; at most 60
	// Past is the last 10 minutes, if the executor was made with [executor.WithHistory]: somebody looked or not.
	Past []executor.HistoryPoint `json:"past,omitempty"`

	Window Window   `json:"window"` // what was counted over History
	Tasks  []Task   `json:"tasks"`  // what the slots were seen running over History, most often first
	Named  []Named  `json:"named"`  // the figures of tasks with names, by name
	Panics []Event  `json:"panics"` // the last ones, newest first; at most 16
	Stalls []Event  `json:"stalls"`
	Advice []Advice `json:"advice"` // empty if nothing is wrong
	Story  []string `json:"story"`  // the last minute in words; empty if nothing piled up
}

// Slot is one slot.
type Slot struct {
	Slot   int           `json:"slot"`            // from 0
	State  string        `json:"state"`           // idle, running, blocking, waiting or searching
	Task   string        `json:"task,omitempty"`  // its name; without one, the function of a task that stands still
	Age    time.Duration `json:"age"`             // how long, at least, the task has been seen there
	Queued int           `json:"queued"`          // tasks in the slot's own queue
	Lent   bool          `json:"lent,omitempty"`  // an extra slot, for a task that blocks without Blocking
	In     string        `json:"in,omitempty"`    // what a task that stands still does: computing, cgo, syscall, or where it waits, in the runtime's words
	Stack  string        `json:"stack,omitempty"` // its stack, without arguments

	// Overdue says that the task has used its budget, others wait, and it has not called Checkpoint.
	Overdue bool `json:"overdue,omitempty"`
}

// Runners counts the runners that have no slot of their own, and the tasks that lend theirs.
type Runners struct {
	Parked   int `json:"parked"`   // sleep, ready for work
	Blocking int `json:"blocking"` // inside Blocking
	Waiting  int `json:"waiting"`  // wait for a future, a group, a child or room in the queue
	Yielded  int `json:"yielded"`  // let others go first
	Surplus  int `json:"surplus"`  // are back from Blocking and have no slot yet
}

// Point is one second of history.
type Point struct {
	Time      time.Time `json:"time"`
	Submitted float64   `json:"submitted"` // tasks per second
	Completed float64   `json:"completed"` // tasks per second, however they ended
	Rejected  float64   `json:"rejected"`  // submissions per second
	Queued    int       `json:"queued"`
	Running   int       `json:"running"`
	Waiting   int       `json:"waiting"` // submitters that wait for room

	// Of the tasks measured in the last 5 s: how long they waited to be started. 0 if there were none.
	WaitP50 time.Duration `json:"waitP50"`
	WaitP99 time.Duration `json:"waitP99"`

	Measured uint64 `json:"measured"` // how many those were

	// What advice is made of: it is given if it lasts. Slots whose task
	Kept    int `json:"kept,omitempty"`    // blocks and keeps it while others wait, for want of a spare
	Overdue int `json:"overdue,omitempty"` // computes past its budget while others wait
	Cgo     int `json:"cgo,omitempty"`     // has been in a C call for 20 ms, outside of Blocking
	Syscall int `json:"syscall,omitempty"` // or in a system call
	Blocked int `json:"blocked,omitempty"` // or waits

	Idle     int    `json:"idle,omitempty"`     // slots that nobody needs
	Returned uint64 `json:"returned,omitempty"` // slots lent because tasks blocked without Blocking, and given back since the point before
}

// Times is about the tasks that were measured over the history: one in 64 unless WithHistogramSampling says
// otherwise, and only those submitted while somebody looks or an SDK takes the histograms.
type Times struct {
	Count uint64        `json:"count"`
	Mean  time.Duration `json:"mean"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
}

// Window is what was counted over the history.
type Window struct {
	Length        time.Duration `json:"length"`
	Submitted     uint64        `json:"submitted"` // tasks accepted
	Ended         uint64        `json:"ended"`     // tasks that ended, however
	Rejected      uint64        `json:"rejected"`
	RejectedFull  uint64        `json:"rejectedFull"`  // those of Rejected that found the queue full
	Uncompensated uint64        `json:"uncompensated"` // times a blocked task kept its slot for want of a spare
	Handoffs      uint64        `json:"handoffs"`      // times one gave its slot away
	NoSpare       uint64        `json:"noSpare"`       // looks of the stall detection, 10 ms apart, that found too few spares
	Returned      uint64        `json:"returned"`      // slots lent because tasks blocked without Blocking, and given back
	Periods       uint64        `json:"periods"`       // of the CPU quota
	Throttled     uint64        `json:"throttled"`     // of these, in which the process was stopped
}

// Task is how often tasks of one name were seen. A short task without a name counts only for the others' shares.
type Task struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // of all tasks seen in slots, 0 to 1
}

// Named is what the tasks of one name did since the executor was made: see [executor.Executor.TaskStats].
type Named struct {
	executor.TaskStats
	Rate float64 `json:"rate"` // tasks that ended, per second, over the last 5 s
}

// Event is a panic or a stall.
type Event struct {
	Time  time.Time `json:"time"`
	What  string    `json:"what"`           // the panic value, or the reason and extent of the stall
	Task  string    `json:"task,omitempty"` // its name
	Count int       `json:"count"`          // how often it came from the same place
	Stack string    `json:"stack,omitempty"`

	place string // tells events from different places apart
}

// Advice is something that is wrong, and what helps.
type Advice struct {
	Kind    string `json:"kind"`    // one of the Advice constants
	Problem string `json:"problem"` // what was seen
	Remedy  string `json:"remedy"`  // what to do
	Call    string `json:"call"`    // the call or option that does it
	More    string `json:"more"`    // the address of a page about this kind
}

// The kinds of Advice.
const (
	AdviceCheckpoint = "checkpoint" // for 3 s, tasks are past their budget, others wait, and they do not call Checkpoint
	AdviceCgo        = "cgo"        // for 3 s, tasks are in C calls of 20 ms or more, outside of Blocking
	AdviceSyscall    = "syscall"    // or in system calls
	AdviceBlocked    = "blocked"    // or wait for a lock, a channel, the network or a timer
	AdviceLatency    = "latency"    // for 10 s, the p99 of queue wait is over ten times the median run time
	AdviceRejections = "rejections" // over 5 % of the submissions were refused
	AdviceSpares     = "spares"     // tasks block, and no spare is left to stand in for them: for 3 s, or over 5 % of those that block
	AdviceThrottled  = "throttled"  // the kernel stopped the process in over 5 % of the quota's periods
	AdviceSubmitters = "submitters" // submitters wait for room, and all tasks that may wait at once do, perhaps for them
	AdviceWaiters    = "waiters"    // tasks wait, no spare is left, and none has ended for 10 s
	AdviceGroup      = "group"      // the tasks of one group fill the queue, and others wait for room
	AdviceIdle       = "idle"       // for 10 s, submitters wait for room while slots are idle
	AdviceLoans      = "loans"      // tasks block without Blocking, again and again, for a moment each
)

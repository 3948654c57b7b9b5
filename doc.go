// Package executor runs tasks on a bounded number of slots, with work stealing, and lends a slot to
// somebody else while its task blocks. It stands where a service would write a go statement and then
// wonder how many goroutines it has, what they wait for, and how to stop them.
//
// # The model
//
// A slot is the permission to run one task, and a queue. An [Executor] has as many slots as the process
// has processors, or as its CPU quota allows, so a caller chooses no pool size. A runner is a goroutine
// that executes tasks while it holds a slot.
//
// A task that another task starts goes to that task's own queue; the owner takes the newest first, and
// idle slots steal the oldest. Everything that comes from outside goes through one bounded queue: when
// that is full, [Executor.Go] waits for room and [Executor.TryGo] says [ErrQueueFull].
//
// A task that is about to block says so with [Blocking], and its slot runs other tasks until it is back.
// Waiting for a [Future], a [Group] or a [Forked] child does the same by itself, after it has run what it
// waits for if nobody else has begun to. So tasks may wait for tasks, to any depth, on one slot.
//
// # Starting work
//
//   - [Executor.Go] starts a function and forgets it.
//   - [Submit] starts a function that has a result and returns a [Future].
//   - [Executor.NewGroup] makes a [Group]: many tasks, the first error, one Wait.
//   - [For], [ForEach] and [Map] call a function for each index or element.
//   - [Fork] and [Forked.Join] split a computation; a child allocates nothing but its closure.
//
// Each of them takes a context: the parent of the task's own, which the function gets. It has the parent's
// values, deadline and cancellation, and is also done when [Executor.Close] ends the executor. A task whose
// context is done before it starts is never started.
//
// # Inside a task
//
//   - [Blocking] around calls that wait: files, network, locks, channels, cgo.
//   - A [Bulkhead] around calls of which there must not be too many at once.
//   - [OnThread] around code that changes its thread, or locks it more than once.
//   - [Checkpoint] in long loops: it sees the end of the context, and lets others go first when the task
//     has used its time slice. [Yield] lets them go first now.
//
// Hold no lock across Checkpoint and Yield: the task may be put aside, while those that it lets go first
// want the lock. Blocking is safe with a lock held, for it never waits for a slot on the way back.
//
// # What is promised
//
// Each accepted task ends exactly once: it completes, panics or is canceled, and [Stats] adds up. A panic
// reaches whoever waits for the task, as a [*PanicError]; a task of Go has nobody who waits, so its panic
// crashes the process, as after a go statement, unless [WithPanicHandler] says otherwise. Nothing runs in
// an idle executor but parked goroutines, and after [Executor.Shutdown] or Close nothing of it is left.
// README.md has the whole list, docs/ARCHITECTURE.md the reasons.
//
// # Seeing what it does
//
// [Executor.Stats] are numbers, and the same numbers are OpenTelemetry instruments, with histograms of a sample
// of the tasks. A task has a span if its parent's is sampled; [WithTaskName] names it, in profiles and
// execution traces too. Package debugpage is a page for people,
// with advice when something is wrong, made of [Executor.Report].
//
// # What it does not do
//
// It keeps nothing on disk, knows no other machine, and does not interrupt a task: Go can not. A task that
// blocks without Blocking is noticed only after some milliseconds, see [WithStallDetection]. Tasks that wait
// for each other in a circle, on channels or locks, wait for ever, as goroutines would.
package executor

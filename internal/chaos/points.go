// Package chaos has the points at which tests delay and shuffle what the executor does. Builds with the tag
// executor_chaos stop there at random; in every other build a point is an empty function, and no code is left of it.
package chaos

// A Point names a place in a protocol where a delay does the most harm, after the invariant that
// would not survive it.
type Point uint8

const (
	D1Looked    Point = iota // a thief has read head and tail, and not claimed yet
	D1Claim                  // forced: a thief loses the race for its claim
	D1Lowered                // the owner has lowered the tail, and not looked at the head yet
	D1Last                   // forced: the owner loses the race for the last entry
	D1Oldest                 // forced: the owner loses the race for the oldest entry
	D2Claimed                // a thief has claimed an entry, and not read it yet
	D3Read                   // a thief has read an entry, and not released the cell yet
	D3Release                // forced: the release loses a race
	I1Granted                // waiters have their places, and are not awake yet
	I1Waits                  // a submitter is listed as waiting for room, and does not wait yet
	I1Leaves                 // a submitter's ctx is done, and it is still listed
	I1Dead                   // a dead entry is counted, and the queue has not heard of it yet
	I2Full                   // forced, if a test allows it: a deque with room is taken for a full one
	P1Published              // a task is published, and nobody notified yet
	P1Looked                 // notify has read the state word, and not acted on it yet
	P1Token                  // a runner has been chosen, and has no token yet
	P1Calm                   // the keeper sees no task that waits, and has not stopped watching yet
	P2Search                 // forced: a runner does not search, as if too many did
	P2Parks                  // a runner has found nothing, and still has its slot
	P2Parked                 // a runner has parked, and not looked again yet
	P2Again                  // forced: a runner that saw work after it parked does not get its slot back
	P2Retires                // a runner's keep-alive is over, and it is still listed as parked
	P3Found                  // the last searcher has stopped searching, and not passed the search on yet
	P4Hidden                 // entries are out of sight, and those that stay are not back yet
	B1Published              // BLOCKED is published, and the queues not looked at yet
	B3Held                   // a retaker knows which slot to take, and has not taken it yet
	B3Back                   // a runner comes back, and has not taken its slot yet
	B3Return                 // forced: a runner that comes back loses a race for its word
	B4Lost                   // a runner comes back without a slot, and has not looked for one yet
	B5Denied                 // forced: a credit is not there at the first try
	B5Gave                   // a runner has parked, and still has the credit
	B5Repaid                 // a surplus runner is repaid, and has not seen it yet
	W1Claimed                // a waiter has claimed what it waits for, and its entry is still queued
	W1Waits                  // a waiter has lent its slot, and does not wait yet
	W1Done                   // a result is there, and those who wait for it do not know yet
	R1Reads                  // the parent of a task is read, and the task may end meanwhile
	F1Popped                 // a joiner has popped its child's entry, and not claimed the child yet
	F1Ended                  // a child has ended, and its state does not say so yet
	F1Joined                 // a child is joined, and its joiner has not said that it waits
	F1Signal                 // a child's state says that it has ended, and the joiner has no signal yet
	L1Counted                // a task is counted, and not queued yet
	L1Summed                 // the books are summed up, and the waiters not looked at yet
	L1Wanted                 // somebody wants quiescence, and has not looked for it yet
	L2Closed                 // the injector is closed, and those who wait for room do not know yet
	L2Dropping               // Close has emptied the deques, and not the injector yet
	L2Ending                 // the contexts are done, and runners do not end yet
	L3Counted                // a child is counted by whoever starts it, and not claimed yet
	Q1Ready                  // a strand is ready, and its entry not queued yet
	Q1Popped                 // a task has left its strand, and does not run yet
	Q3Accepted               // a task of a strand is counted, and nobody has looked whether the executor is closed
	points                   // how many there are
)

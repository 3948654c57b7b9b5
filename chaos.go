package executor

// A chaosPoint names a place in a protocol where a delay does the most harm, after the invariant that
// would not survive it. A build with the tag executor_chaos stops there at random (chaos_on.go); in every
// other build a point is an empty function, and no code is left of it (chaos_off.go).
type chaosPoint uint8

const (
	d1Looked    chaosPoint = iota // a thief has read head and tail, and not claimed yet
	d1Claim                       // forced: a thief loses the race for its claim
	d1Lowered                     // the owner has lowered the tail, and not looked at the head yet
	d1Last                        // forced: the owner loses the race for the last entry
	d1Oldest                      // forced: the owner loses the race for the oldest entry
	d2Claimed                     // a thief has claimed an entry, and not read it yet
	d3Read                        // a thief has read an entry, and not released the cell yet
	d3Release                     // forced: the release loses a race
	i1Granted                     // waiters have their places, and are not awake yet
	i1Waits                       // a submitter is listed as waiting for room, and does not wait yet
	i1Leaves                      // a submitter's ctx is done, and it is still listed
	i1Dead                        // a dead entry is counted, and the queue has not heard of it yet
	i2Full                        // forced, if a test allows it: a deque with room is taken for a full one
	p1Published                   // a task is published, and nobody notified yet
	p1Looked                      // notify has read the state word, and not acted on it yet
	p1Token                       // a runner has been chosen, and has no token yet
	p2Search                      // forced: a runner does not search, as if too many did
	p2Parks                       // a runner has found nothing, and still has its slot
	p2Parked                      // a runner has parked, and not looked again yet
	p2Again                       // forced: a runner that saw work after it parked does not get its slot back
	p2Retires                     // a runner's keep-alive is over, and it is still listed as parked
	p3Found                       // the last searcher has stopped searching, and not passed the search on yet
	p4Hidden                      // entries are out of sight, and those that stay are not back yet
	b1Published                   // BLOCKED is published, and the queues not looked at yet
	b3Held                        // a retaker knows which slot to take, and has not taken it yet
	b3Back                        // a runner comes back, and has not taken its slot yet
	b3Return                      // forced: a runner that comes back loses a race for its word
	b4Lost                        // a runner comes back without a slot, and has not looked for one yet
	b5Denied                      // forced: a credit is not there at the first try
	b5Gave                        // a runner has parked, and still has the credit
	b5Repaid                      // a surplus runner is repaid, and has not seen it yet
	w1Claimed                     // a waiter has claimed what it waits for, and its entry is still queued
	w1Waits                       // a waiter has lent its slot, and does not wait yet
	w1Done                        // a result is there, and those who wait for it do not know yet
	f1Popped                      // a joiner has popped its child's entry, and not claimed the child yet
	f1Ended                       // a child has ended, and its state does not say so yet
	f1Joined                      // a child is joined, and its joiner has not said that it waits
	f1Signal                      // a child's state says that it has ended, and the joiner has no signal yet
	l1Counted                     // a task is counted, and not queued yet
	l1Summed                      // the books are summed up, and the waiters not looked at yet
	l1Wanted                      // somebody wants quiescence, and has not looked for it yet
	l2Closed                      // the injector is closed, and those who wait for room do not know yet
	l2Dropping                    // Close has emptied the deques, and not the injector yet
	l2Ending                      // the contexts are done, and runners do not end yet
	l3Counted                     // a child is counted by whoever starts it, and not claimed yet
	chaosPoints                   // how many there are
)

//go:build cgo && !windows

// Package cgotest is C code for the tests of package executor: calls that block in C where the Go
// scheduler can not see why, counted in C; a variable that each thread has for itself; and its signal mask.
package cgotest

/*
#cgo CFLAGS: -Wall
#cgo LDFLAGS: -lpthread
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int inside, most, open;
static __thread int mine;

static void enter(void) {
	if (++inside > most)
		most = inside;
}

static void sleep_ms(int ms) {
	struct timespec left = {ms / 1000, (ms % 1000) * 1000000L};
	pthread_mutex_lock(&mu);
	enter();
	pthread_mutex_unlock(&mu);
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
	pthread_mutex_lock(&mu);
	inside--;
	pthread_mutex_unlock(&mu);
}

static void hold(void) {
	pthread_mutex_lock(&mu);
	enter();
	while (!open)
		pthread_cond_wait(&opened, &mu);
	inside--;
	pthread_mutex_unlock(&mu);
}

static void burn_ms(long ms) {
	struct timespec now, end;
	pthread_mutex_lock(&mu);
	enter();
	pthread_mutex_unlock(&mu);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += (ms % 1000) * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000L;
	}
	do {
		for (volatile int i = 0; i < 10000; i++)
			;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	pthread_mutex_lock(&mu);
	inside--;
	pthread_mutex_unlock(&mu);
}

static void set_open(int to) {
	pthread_mutex_lock(&mu);
	open = to;
	if (!to)
		most = inside;
	pthread_cond_broadcast(&opened);
	pthread_mutex_unlock(&mu);
}

static int get(const int *counter) {
	pthread_mutex_lock(&mu);
	int n = *counter;
	pthread_mutex_unlock(&mu);
	return n;
}

static int get_inside(void) { return get(&inside); }
static int get_most(void) { return get(&most); }

static int swap_mine(int to) {
	int was = mine;
	mine = to;
	return was;
}

static int get_mine(void) { return mine; }

static int mask_usr2(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int masks_usr2(void) {
	sigset_t set;
	if (pthread_sigmask(SIG_BLOCK, NULL, &set) != 0)
		return -1;
	return sigismember(&set, SIGUSR2);
}
*/
import "C"

import "time"

// Missing says why this package can not do anything; it is empty if it can.
const Missing = ""

// Sleep blocks its thread in C.
func Sleep(ms int) { C.sleep_ms(C.int(ms)) }

// Burn computes in C for d, in ms.
func Burn(d time.Duration) { C.burn_ms(C.long(d.Milliseconds())) }

// Hold blocks its thread in C until Open.
func Hold() { C.hold() }

// Open lets everybody out of Hold, now and later.
func Open() { C.set_open(1) }

// Shut makes Hold block again, and Most start anew.
func Shut() { C.set_open(0) }

// Inside returns how many calls of Sleep, Burn and Hold are in C.
func Inside() int { return int(C.get_inside()) }

// Most returns the highest value of Inside since Shut.
func Most() int { return int(C.get_most()) }

// SwapMine sets the calling thread's own variable and returns what it was. Threads start with 0.
func SwapMine(to int) int { return int(C.swap_mine(C.int(to))) }

// Mine returns the calling thread's own variable.
func Mine() int { return int(C.get_mine()) }

// MaskUsr2 makes the calling thread block SIGUSR2, with pthread_sigmask, and reports whether that worked.
func MaskUsr2() bool { return C.mask_usr2() == 0 }

// MasksUsr2 reports whether the calling thread blocks SIGUSR2.
func MasksUsr2() bool { return C.masks_usr2() != 0 }

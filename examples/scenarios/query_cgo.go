//go:build cgo && !windows

package main

/*
#cgo CFLAGS: -Wall
#cgo LDFLAGS: -lpthread
#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { CONNECTIONS = 16 };

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static int used, inside, most;

// query waits for a connection, and then 100 ms for the answer.
static void query(void) {
	struct timespec left = {0, 100 * 1000000L};
	pthread_mutex_lock(&mu);
	if (++inside > most)
		most = inside;
	while (used == CONNECTIONS)
		pthread_cond_wait(&freed, &mu);
	used++;
	pthread_mutex_unlock(&mu);
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
	pthread_mutex_lock(&mu);
	used--;
	inside--;
	pthread_cond_signal(&freed);
	pthread_mutex_unlock(&mu);
}

static int most_inside(void) {
	pthread_mutex_lock(&mu);
	int n = most;
	pthread_mutex_unlock(&mu);
	return n;
}
*/
import "C"

// connections is how many queries the library works on at once.
const connections = C.CONNECTIONS

func queryMissing() string { return "" }

// query asks the library something. It blocks its thread.
func query() { C.query() }

// mostQueries is how many queries were in the library at once, counted there.
func mostQueries() int { return int(C.most_inside()) }

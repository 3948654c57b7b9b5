// The workloads of package suite on java.util.concurrent.ForkJoinPool. Prints: engine workload threads ns-per-operation, the
// median of five samples after five that warm up.

import java.util.Arrays;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.RecursiveAction;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

public final class Bench {
    static final int THREADS = Runtime.getRuntime().availableProcessors();
    static final int MILLION = 1_000_000;
    static final ForkJoinPool POOL = new ForkJoinPool(THREADS);
    static final Runnable NOTHING = () -> {};

    static void check(boolean right) {
        if (!right) throw new IllegalStateException("wrong result");
    }

    static final class Fib extends RecursiveTask<Long> {
        final int n;

        Fib(int n) { this.n = n; }

        @Override protected Long compute() { return of(n); }

        static long of(int n) {
            if (n < 2) return n;
            Fib half = new Fib(n - 1);
            half.fork();
            long rest = of(n - 2);
            return half.join() + rest;
        }
    }

    static final class Skynet extends RecursiveTask<Long> {
        final long first, size;

        Skynet(long first, long size) { this.first = first; this.size = size; }

        @Override protected Long compute() {
            if (size == 1) return first;
            long part = size / 10, sum = 0;
            Skynet[] children = new Skynet[10];
            for (int i = 0; i < 10; i++) (children[i] = new Skynet(first + i * part, part)).fork();
            for (int i = 9; i >= 0; i--) sum += children[i].join();
            return sum;
        }
    }

    static void quiet() { check(POOL.awaitQuiescence(1, TimeUnit.MINUTES)); }

    static void outside(int producers) throws InterruptedException {
        Runnable produce = () -> {
            for (int i = 0; i < MILLION / producers; i++) POOL.execute(NOTHING);
        };
        Thread[] threads = new Thread[producers - 1];
        for (int p = 0; p < threads.length; p++) (threads[p] = new Thread(produce)).start();
        produce.run();
        for (Thread t : threads) t.join();
        quiet();
    }

    interface Work { void run() throws InterruptedException; }

    static void measure(String workload, double operations, Work work) throws InterruptedException {
        double[] took = new double[5];
        for (int i = -5; i < took.length; i++) {
            long begin = System.nanoTime();
            work.run();
            if (i >= 0) took[i] = (System.nanoTime() - begin) / operations;
        }
        Arrays.sort(took);
        System.out.printf("ForkJoinPool %s %d %.1f%n", workload, THREADS, took[took.length / 2]);
    }

    public static void main(String[] args) throws InterruptedException {
        measure("fib", 1346268, () -> check(POOL.invoke(new Fib(30)) == 832040));
        measure("skynet", MILLION, () -> check(POOL.invoke(new Skynet(0, MILLION)) == 499999500000L));
        measure("outside1", MILLION, () -> outside(1));
        measure("outside4", MILLION, () -> outside(4));
        measure("inside", MILLION, () -> {
            POOL.invoke(new RecursiveAction() {
                @Override protected void compute() {
                    for (int i = 0; i < MILLION; i++) ForkJoinTask.adapt(NOTHING).fork();
                }
            });
            quiet();
        });
        Semaphore answer = new Semaphore(0);
        measure("pingpong", 20000, () -> {
            for (int i = 0; i < 20000; i++) {
                POOL.execute(answer::release);
                answer.acquire();
            }
        });
    }
}

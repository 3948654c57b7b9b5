// The workloads of package suite on oneTBB. Prints: engine workload threads ns-per-operation, the median of five samples.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

static void check(bool right) {
    if (!right) {
        std::fputs("wrong result\n", stderr);
        std::exit(1);
    }
}

static long fib(int n) {
    if (n < 2) return n;
    long a = 0, b = 0;
    tbb::parallel_invoke([&] { a = fib(n - 1); }, [&] { b = fib(n - 2); });
    return a + b;
}

static long skynet(long first, long size) {
    if (size == 1) return first;
    long part = size / 10, sums[10];
    tbb::task_group children;
    for (int i = 0; i < 10; i++) children.run([=, &sums] { sums[i] = skynet(first + i * part, part); });
    children.wait();
    long sum = 0;
    for (long s : sums) sum += s;
    return sum;
}

// outside enqueues n empty tasks from some threads, and waits until all have run.
static void outside(tbb::task_arena &arena, int producers, long n) {
    std::atomic<long> left{n};
    std::binary_semaphore done{0};
    auto produce = [&](long count) {
        for (long i = 0; i < count; i++)
            arena.enqueue([&] {
                if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done.release();
            });
    };
    std::vector<std::thread> threads;
    for (int p = 1; p < producers; p++) threads.emplace_back(produce, n / producers);
    produce(n - n / producers * (producers - 1));
    for (auto &t : threads) t.join();
    done.acquire();
}

int main() {
    const int threads = std::max(1u, std::thread::hardware_concurrency());
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads + 1); // and the caller, who only waits
    tbb::task_arena arena(threads, 1);
    tbb::task_arena workers(threads, 0); // nobody who waits takes part
    const long million = 1'000'000;
    auto measure = [&](const char *workload, double operations, const std::function<void()> &run) {
        std::vector<double> took;
        for (int i = 0; i < 6; i++) {
            auto begin = std::chrono::steady_clock::now();
            run();
            std::chrono::duration<double, std::nano> ns = std::chrono::steady_clock::now() - begin;
            if (i > 0) took.push_back(ns.count() / operations); // the first one warms up
        }
        std::sort(took.begin(), took.end());
        std::printf("oneTBB %s %d %.1f\n", workload, threads, took[took.size() / 2]);
        std::fflush(stdout);
    };
    measure("fib", 1346268, [&] { arena.execute([] { check(fib(30) == 832040); }); });
    measure("skynet", million, [&] { arena.execute([&] { check(skynet(0, million) == 499999500000); }); });
    measure("outside1", million, [&] { outside(workers, 1, million); });
    measure("outside4", million, [&] { outside(workers, 4, million); });
    measure("inside", million, [&] {
        arena.execute([&] {
            tbb::task_group children;
            for (long i = 0; i < million; i++) children.run([] {});
            children.wait();
        });
    });
    measure("pingpong", 20000, [&] {
        std::binary_semaphore answer{0};
        for (int i = 0; i < 20000; i++) {
            workers.enqueue([&] { answer.release(); });
            answer.acquire();
        }
    });
}

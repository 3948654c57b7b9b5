//! The workloads of package suite on rayon and tokio. Prints: engine workload threads ns-per-operation, the median of five samples.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::time::Instant;

const MILLION: usize = 1_000_000;

fn measure(engine: &str, workload: &str, threads: usize, operations: usize, mut run: impl FnMut()) {
    let mut took: Vec<f64> = (0..6)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed().as_nanos() as f64 / operations as f64
        })
        .skip(1) // the first one warms up
        .collect();
    took.sort_by(f64::total_cmp);
    println!("{engine} {workload} {threads} {:.1}", took[took.len() / 2]);
}

/// Starts MILLION empty tasks from some threads, and waits until all have run. `start` hands one over.
fn outside(producers: usize, start: impl Fn(Box<dyn FnOnce() + Send>) + Sync) {
    let left = Arc::new(AtomicUsize::new(MILLION));
    let (done, all_done) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..producers {
            let (left, done, start) = (left.clone(), done.clone(), &start);
            scope.spawn(move || {
                for _ in 0..MILLION / producers {
                    let (left, done) = (left.clone(), done.clone());
                    start(Box::new(move || {
                        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                            done.send(()).unwrap();
                        }
                    }));
                }
            });
        }
    });
    all_done.recv().unwrap();
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
    a + b
}

fn skynet(first: usize, size: usize) -> usize {
    use rayon::prelude::*;
    if size == 1 {
        return first;
    }
    (0..10).into_par_iter().with_max_len(1).map(|i| skynet(first + i * (size / 10), size / 10)).sum()
}

fn on_rayon(threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let name = "rayon";
    measure(name, "fib", threads, 1_346_268, || assert_eq!(pool.install(|| fib(30)), 832_040));
    measure(name, "skynet", threads, MILLION, || assert_eq!(pool.install(|| skynet(0, MILLION)), 499_999_500_000));
    for producers in [1, 4] {
        measure(name, &format!("outside{producers}"), threads, MILLION, || outside(producers, |task| pool.spawn(task)));
    }
    measure(name, "inside", threads, MILLION, || {
        pool.scope(|scope| {
            for _ in 0..MILLION {
                scope.spawn(|_| {});
            }
        })
    });
    measure(name, "pingpong", threads, 20_000, || {
        let (done, answer) = mpsc::sync_channel(1);
        for _ in 0..20_000 {
            let done = done.clone();
            pool.spawn(move || done.send(()).unwrap());
            answer.recv().unwrap();
        }
    });
}

fn spawned_fib(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let half = tokio::spawn(spawned_fib(n - 1));
        let rest = spawned_fib(n - 2).await;
        half.await.unwrap() + rest
    })
}

fn spawned_skynet(first: usize, size: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        if size == 1 {
            return first;
        }
        let part = size / 10;
        let children: Vec<_> = (0..10).map(|i| tokio::spawn(spawned_skynet(first + i * part, part))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

fn on_tokio(threads: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
    let name = "tokio";
    measure(name, "fib", threads, 46_367, || {
        assert_eq!(runtime.block_on(async { tokio::spawn(spawned_fib(23)).await.unwrap() }), 28_657)
    });
    measure(name, "skynet", threads, MILLION, || {
        assert_eq!(runtime.block_on(async { tokio::spawn(spawned_skynet(0, MILLION)).await.unwrap() }), 499_999_500_000)
    });
    for producers in [1, 4] {
        measure(name, &format!("outside{producers}"), threads, MILLION, || {
            outside(producers, |task| {
                runtime.spawn(async move { task() });
            })
        });
    }
    measure(name, "inside", threads, MILLION, || {
        let left = Arc::new(AtomicUsize::new(MILLION));
        let (done, all_done) = mpsc::channel();
        runtime.spawn(async move {
            for _ in 0..MILLION {
                let (left, done) = (left.clone(), done.clone());
                tokio::spawn(async move {
                    if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                        done.send(()).unwrap();
                    }
                });
            }
        });
        all_done.recv().unwrap();
    });
    measure(name, "pingpong", threads, 20_000, || {
        for _ in 0..20_000 {
            runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
        }
    });
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    on_rayon(threads);
    on_tokio(threads);
}

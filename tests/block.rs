//! A prepared block computes what the reference computes, whatever its schedule and origin.

mod common;

use common::{database, record, workload};
use dsconv::cpu::{CpuModel, host_target};
use dsconv::{
    BlockError, Depthwise, Dispatcher, DispatcherBuilder, Kernel, Origin, Pointwise, PrepareError,
    Schedule, SeparableBlock, Weights, Workload, reference,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

fn builder() -> DispatcherBuilder {
    Dispatcher::builder().only_given()
}

/// Tensors of small random integers, so that `f32` sums are exact.
struct Tensors {
    depthwise: Vec<f32>,
    depthwise_bias: Vec<f32>,
    pointwise: Vec<f32>,
    pointwise_bias: Vec<f32>,
    input: Vec<f32>,
    residual: Vec<f32>,
}

impl Tensors {
    fn of(workload: &Workload, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut integers =
            |len| (0..len).map(|_| random.random_range(-4..=4i8).into()).collect::<Vec<f32>>();
        Self {
            depthwise: integers(workload.depthwise_len()),
            depthwise_bias: integers(workload.middle_channels()),
            pointwise: integers(workload.pointwise_len()),
            pointwise_bias: integers(workload.output_channels()),
            input: integers(workload.input_len()),
            residual: integers(workload.output_len()),
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights {
            depthwise: &self.depthwise,
            depthwise_bias: &self.depthwise_bias,
            pointwise: &self.pointwise,
            pointwise_bias: &self.pointwise_bias,
            ..Weights::default()
        }
    }

    fn expected(&self, workload: &Workload, residual: bool) -> Vec<f32> {
        let mut output = vec![f32::NAN; workload.output_len()];
        let residual = residual.then_some(self.residual.as_slice());
        reference::run(workload, &self.weights(), &self.input, residual, &mut output).unwrap();
        output
    }
}

fn with_residual() -> Workload {
    Workload::builder([1, 8, 9, 9])
        .depthwise(Depthwise::kernel(3, 3).padding(1))
        .pointwise(Pointwise::channels(12).residual(true))
        .build()
        .unwrap()
}

#[test]
fn blocks_can_move_to_and_be_shared_with_other_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<SeparableBlock>();
    is_send_and_sync::<Dispatcher>();
}

#[test]
fn a_tuned_block_and_an_untuned_one_compute_the_reference() {
    let workload = workload(24, 20, 14);
    let tensors = Tensors::of(&workload, 1);
    let tuned = database(CpuModel::host(), [record(workload, host_target().isa, 1.0)]);
    let given = Origin::Exact(common::given(&CpuModel::host()));
    for (dispatcher, origin) in [(builder(), Origin::Heuristic), (builder().database(tuned), given)]
    {
        let dispatcher = dispatcher.build().unwrap();
        let mut block = dispatcher.prepare(&workload, &tensors.weights()).unwrap();
        assert_eq!(block.origin(), &origin);
        assert_eq!(block.workload(), &workload);
        let mut output = vec![f32::NAN; workload.output_len()];
        for _ in 0..2 {
            output.fill(f32::NAN);
            block.run(&tensors.input, &mut output).unwrap();
            assert_eq!(output, tensors.expected(&workload, false), "{workload}, seed 1, {origin}");
        }
    }
}

#[test]
fn forks_share_the_code_and_run_side_by_side() {
    let workload = workload(16, 16, 11);
    let tensors = Tensors::of(&workload, 2);
    let block = builder().build().unwrap().prepare(&workload, &tensors.weights()).unwrap();
    let expected = tensors.expected(&workload, false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut fork = block.fork();
            assert!(std::ptr::eq::<Kernel>(fork.kernel(), block.kernel()));
            let (tensors, expected) = (&tensors, &expected);
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut output = vec![f32::NAN; workload.output_len()];
                    fork.run(&tensors.input, &mut output).unwrap();
                    assert_eq!(&output, expected);
                }
            });
        }
    });
}

#[test]
fn a_residual_is_added_where_the_workload_has_one_and_asked_for_by_name() {
    let workload = with_residual();
    let tensors = Tensors::of(&workload, 3);
    let mut block = builder().build().unwrap().prepare(&workload, &tensors.weights()).unwrap();
    let mut output = vec![f32::NAN; workload.output_len()];
    let error = block.run(&tensors.input, &mut output).unwrap_err();
    assert_eq!(error, BlockError::MissingResidual { expected: 12 * 81 });
    assert!(error.to_string().contains("call run_with_residual"), "{error}");
    block.run_with_residual(&tensors.input, &tensors.residual, &mut output).unwrap();
    assert_eq!(output, tensors.expected(&workload, true));

    let plain = common::workload(8, 8, 9);
    let tensors = Tensors::of(&plain, 4);
    let mut block = builder().build().unwrap().prepare(&plain, &tensors.weights()).unwrap();
    let mut output = vec![f32::NAN; plain.output_len()];
    let error =
        block.run_with_residual(&tensors.input, &tensors.residual, &mut output).unwrap_err();
    assert_eq!(error, BlockError::UnexpectedResidual { found: tensors.residual.len() });
}

#[test]
fn slices_of_another_length_are_refused_and_nothing_is_written() {
    let workload = workload(8, 8, 9);
    let tensors = Tensors::of(&workload, 5);
    let dispatcher = builder().build().unwrap();
    let short = Weights { pointwise: &tensors.pointwise[1..], ..tensors.weights() };
    let error = dispatcher.prepare(&workload, &short).unwrap_err();
    assert!(matches!(error, PrepareError::Weights(_)), "{error}");
    let mut block = dispatcher.prepare(&workload, &tensors.weights()).unwrap();
    let mut output = vec![7.0; workload.output_len()];
    let error = block.run(&tensors.input[1..], &mut output).unwrap_err();
    assert!(matches!(error, BlockError::Run(_)), "{error}");
    assert!(block.run(&tensors.input, &mut output[1..]).is_err());
    assert!(output.iter().all(|value| *value == 7.0));
}

#[cfg(feature = "parallel")]
#[test]
fn a_parallel_run_gives_the_same_bits_on_pools_of_any_size() {
    for (workload, has_residual) in [(workload(24, 40, 17), false), (with_residual(), true)] {
        let tensors = Tensors::of(&workload, 6);
        let dispatcher = builder().threads(3).build().unwrap();
        let mut block = dispatcher.prepare(&workload, &tensors.weights()).unwrap();
        let residual = has_residual.then_some(tensors.residual.as_slice());
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut output = vec![f32::NAN; workload.output_len()];
            block.run_parallel(&pool, &tensors.input, residual, &mut output).unwrap();
            assert_eq!(output, tensors.expected(&workload, has_residual), "{threads} threads");
        }
    }
}

#[test]
fn a_schedule_of_a_similar_workload_computes_the_reference() {
    let (lender, wanted) = (workload(24, 20, 14), workload(20, 24, 12));
    let mut lent = record(lender, host_target().isa, 1.0);
    lent.schedule = Schedule { tile_rows: 14, ..lent.schedule };
    let dispatcher = builder().database(database(CpuModel::host(), [lent])).build().unwrap();
    let tensors = Tensors::of(&wanted, 7);
    let mut block = dispatcher.prepare(&wanted, &tensors.weights()).unwrap();
    assert!(matches!(block.origin(), Origin::NearestWorkload { .. }), "{}", block.origin());
    let mut output = vec![f32::NAN; wanted.output_len()];
    block.run(&tensors.input, &mut output).unwrap();
    assert_eq!(output, tensors.expected(&wanted, false));
}

#[test]
fn a_run_allocates_nothing() {
    for workload in [workload(24, 40, 17), with_residual()] {
        let tensors = Tensors::of(&workload, 8);
        let mut block = builder().build().unwrap().prepare(&workload, &tensors.weights()).unwrap();
        let mut output = vec![0.0; workload.output_len()];
        let has_residual = workload.pointwise().is_some_and(|stage| stage.residual);
        let allocations = allocation_counter::measure(|| {
            if has_residual {
                block.run_with_residual(&tensors.input, &tensors.residual, &mut output).unwrap();
            } else {
                block.run(&tensors.input, &mut output).unwrap();
            }
        });
        assert_eq!(allocations.count_total, 0, "{workload}");
    }
}

#[cfg(feature = "parallel")]
#[test]
fn a_run_on_a_pool_allocates_nothing_while_its_threads_are_awake() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let workload = workload(24, 40, 17);
    let tensors = Tensors::of(&workload, 8);
    let dispatcher = builder().threads(2).build().unwrap();
    let mut block = dispatcher.prepare(&workload, &tensors.weights()).unwrap();
    let mut output = vec![0.0; workload.output_len()];
    let mut allocations = || {
        let run = || block.run_parallel(&pool, &tensors.input, None, &mut output).unwrap();
        allocation_counter::measure(run).count_total
    };
    assert!(allocations() > 0, "the first run was on one thread");
    // A thread that fell asleep is called through the pool, which allocates.
    let runs = (0..1000).map(|_| allocations());
    assert_eq!(runs.min(), Some(0));
}

//! Search spaces and the strategies that walk through them.

mod synthetic;

use std::collections::HashSet;

use dsconv_kernels::testing::{Limits, random_workload};
use dsconv_kernels::{Family, Fusion, Isa, Schedule, Split, Taps, Target, Workload};
use dsconv_tuning::space::{Cut, MOST_CANDIDATES, distance};
use dsconv_tuning::{SearchSpace, StrategyKind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use synthetic::{block, narrow, wide, workload};

/// Blocks of networks, and corners: one row, one channel, one stage, a crop, a multiplier.
fn realistic() -> Vec<Workload> {
    [
        "f32 nchw 1x32x112x112 dw:3x3,p1,bias,relu6 pw:64,bias,relu6",
        "f32 nchw 1x64x112x112 dw:3x3,s2,p1,bias,relu pw:128,bias,relu",
        "f32 nchw 1x256x28x28 dw:3x3,p1,bias,relu pw:256,bias,relu",
        "f32 nchw 1x576x14x14 dw:5x5,p2,bias pw:96,bias,residual",
        "f32 nchw 1x960x7x7 dw:5x5,p2,bias pw:160,bias,residual",
        "f32 nhwc 1x1024x7x7 dw:3x3,p1,bias,relu pw:1024,bias,relu",
        "f32 nchw 1x304x129x129 dw:3x3,p1,bias,relu pw:256,bias,relu",
        "f32 nchw 1x3x32x32 dw:3x3,p1,bias,relu pw:10,bias",
        "f32 nchw 1x40x1x100 dw:1x9,bias pw:48,bias",
        "f32 nchw 1x256x28x28 dw:3x3,p1,bias",
        "f32 nchw 1x256x28x28 pw:64",
        "f32 nhwc 2x1x5x5 pw:1",
    ]
    .map(workload)
    .to_vec()
}

#[test]
fn realistic_spaces_are_legal_distinct_and_of_manageable_size() {
    for workload in realistic() {
        for target in [narrow(), wide()] {
            for threads in [1, 2] {
                let space = SearchSpace::new(&workload, &target, threads);
                let summary = space.summary();
                let case =
                    format!("{workload}, {} lanes, {threads} threads: {summary}", target.lanes);
                assert!(!space.is_empty(), "{case}");
                assert!(summary.candidates <= MOST_CANDIDATES, "{case}");
                let distinct: HashSet<&Schedule> = space.iter().collect();
                assert_eq!(distinct.len(), space.len(), "{case}");
                for schedule in &space {
                    assert!(schedule.check(&workload, &target).is_ok(), "{case}");
                }
                let pruned: usize = summary.pruned.iter().map(|rule| rule.count).sum();
                assert_eq!(summary.size + pruned, summary.candidates, "{case}");
            }
        }
    }
}

#[test]
fn random_workloads_have_spaces() {
    for seed in 0..150 {
        let workload = random_workload(&mut StdRng::seed_from_u64(seed), &Limits::default());
        for target in [narrow(), wide()] {
            let space = SearchSpace::new(&workload, &target, 2);
            assert!(!space.is_empty(), "seed {seed}: {workload}: {}", space.summary());
        }
    }
}

#[test]
fn a_space_depends_on_nothing_but_its_arguments() {
    let order = || SearchSpace::new(&block(), &wide(), 2).iter().copied().collect::<Vec<_>>();
    assert_eq!(order(), order());
}

#[test]
fn families_belong_to_layouts() {
    let nhwc = workload("f32 nhwc 1x64x14x14 dw:3x3,p1 pw:64");
    assert!(SearchSpace::new(&nhwc, &wide(), 1).iter().all(|s| s.family == Family::Nhwc));
    let nchw = workload("f32 nchw 1x64x14x14 dw:3x3,p1 pw:64");
    let families: HashSet<Family> =
        SearchSpace::new(&nchw, &wide(), 1).iter().map(|s| s.family).collect();
    let expected = [Family::Pixels, Family::ChannelsPlanar, Family::ChannelsBlocked];
    assert_eq!(families, HashSet::from(expected));
}

#[test]
fn channels_in_blocks_are_left_out_of_large_planes_of_whole_rows_only() {
    let has_blocks = |extent: usize| {
        let text = format!("f32 nchw 1x128x{extent}x{extent} dw:3x3,p1,bias,relu pw:128,bias,relu");
        let space = SearchSpace::new(&workload(&text), &Target::of(Isa::Avx2), 1);
        space.iter().any(|schedule| schedule.family == Family::ChannelsBlocked)
    };
    assert!(!has_blocks(56));
    assert!(has_blocks(129));
}

#[test]
fn threads_divide_channels_only_in_staged_schedules_of_several_threads() {
    let channels = |threads| {
        let space = SearchSpace::new(&block(), &wide(), threads);
        let split = space.iter().filter(|s| s.split == Split::Channels);
        split.inspect(|s| assert_eq!(s.fusion, Fusion::Staged)).count()
    };
    assert_eq!(channels(1), 0);
    assert!(channels(2) > 0);
}

#[test]
fn loop_order_stays_where_weights_are_large() {
    let large = workload("f32 nchw 1x1024x7x7 dw:3x3,p1 pw:1024");
    let orders: HashSet<_> = SearchSpace::new(&large, &wide(), 1)
        .iter()
        .filter_map(|s| s.pointwise.map(|tile| tile.order))
        .collect();
    assert_eq!(orders.len(), 2);
}

#[test]
fn cuts_are_made_in_order_and_only_where_they_have_an_effect() {
    for workload in realistic() {
        let space = SearchSpace::new(&workload, &wide(), 1);
        let cuts = &space.summary().cuts;
        assert!(cuts.is_sorted(), "{workload}: {cuts:?}");
        assert_eq!(cuts.is_empty(), space.summary().product <= MOST_CANDIDATES as u64);
        let depthwise_only = workload.pointwise().is_none();
        assert!(!(depthwise_only && cuts.contains(&Cut::Packing)), "{workload}: {cuts:?}");
    }
}

#[test]
fn neighbours_differ_in_one_axis_and_are_mutual() {
    let space = SearchSpace::new(&block(), &narrow(), 2);
    for schedule in space.sample(20, 3) {
        let neighbours = space.neighbours(&schedule);
        assert!(!neighbours.is_empty(), "{schedule:?}");
        for neighbour in &neighbours {
            assert_eq!(distance(&schedule, neighbour), 1);
            assert!(space.contains(neighbour) && *neighbour != schedule);
        }
        assert!(space.neighbours(&neighbours[0]).contains(&schedule));
    }
}

#[test]
fn a_wider_tile_whose_taps_no_longer_fit_the_registers_is_a_neighbour() {
    let block = workload("f32 nchw 1x96x112x112 dw:3x3,s2,p1,bias,relu6 pw:24,bias");
    let space = SearchSpace::new(&block, &Target::of(Isa::Avx2), 1);
    let at = |schedule: &Schedule| schedule.depthwise.map(|tile| (tile.vectors, tile.taps));
    let has = |tile| space.iter().any(|schedule| at(schedule) == Some(tile));
    assert!(!has((2, Taps::Registers)), "two vectors leave 16 registers no place for nine taps");
    let wide = space.iter().find(|schedule| at(schedule) == Some((2, Taps::Memory)));
    let wide = wide.expect("nine taps may stay in memory");
    let neighbours = space.neighbours(wide);
    assert!(neighbours.iter().any(|it| at(it) == Some((1, Taps::Registers))), "{wide}");
}

#[test]
fn samples_are_distinct_and_follow_from_the_seed() {
    let space = SearchSpace::new(&block(), &narrow(), 1);
    let sample = space.sample(100, 7);
    assert_eq!(sample.iter().collect::<HashSet<_>>().len(), 100);
    assert_eq!(sample, space.sample(100, 7));
    assert_ne!(sample, space.sample(100, 8));
    assert_eq!(space.sample(usize::MAX, 7).len(), space.len());
}

#[test]
fn strategies_propose_each_schedule_once_and_never_the_default() {
    let space = SearchSpace::new(&block(), &narrow(), 1);
    let default = space.sample(1, 1)[0];
    for kind in StrategyKind::ALL {
        let mut strategy = kind.build(&space, &default, 4);
        let mut proposed = Vec::new();
        loop {
            let batch = strategy.propose(37);
            assert!(batch.len() <= 37);
            if batch.is_empty() {
                break;
            }
            proposed.extend(batch);
        }
        let distinct: HashSet<&Schedule> = proposed.iter().collect();
        assert_eq!(distinct.len(), space.len() - 1, "{kind}");
        assert_eq!(proposed.len(), distinct.len(), "{kind}");
        assert!(!distinct.contains(&default), "{kind}");
    }
}

#[test]
fn a_seed_fixes_the_order_of_proposals() {
    let space = SearchSpace::new(&block(), &narrow(), 1);
    let default = space.sample(1, 1)[0];
    let propose = |kind: StrategyKind, seed| kind.build(&space, &default, seed).propose(50);
    for kind in StrategyKind::ALL {
        assert_eq!(propose(kind, 6), propose(kind, 6), "{kind}");
    }
    assert_ne!(propose(StrategyKind::Random, 6), propose(StrategyKind::Random, 7));
}

#[test]
fn the_exhaustive_strategy_moves_away_from_the_default() {
    let space = SearchSpace::new(&block(), &narrow(), 1);
    let default = space.sample(1, 1)[0];
    let proposed = StrategyKind::Exhaustive.build(&space, &default, 0).propose(usize::MAX);
    assert!(proposed.is_sorted_by_key(|schedule| distance(schedule, &default)));
}

#[test]
fn strategies_are_known_by_their_names() {
    for kind in StrategyKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        let json = serde_json::to_string(&kind).expect("a name");
        assert_eq!(json, format!("\"{kind}\""));
    }
    let error = "genetic".parse::<StrategyKind>().expect_err("no such strategy");
    assert_eq!(
        error.to_string(),
        "no strategy is called \"genetic\"; there are: exhaustive, random, evolutionary, model"
    );
}

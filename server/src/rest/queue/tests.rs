//! The queue against what it promises: fixed cases that can be read, random histories, and a server under load, played
//! through on a clock of its own.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn lane(name: &str) -> Lane {
    name.split(' ').next().unwrap().into()
}

/// Has `name` come to the lane that its first word is.
fn enter<'a>(queue: &mut Queue<&'a str>, name: &'a str) -> Result<Entered<&'a str>, Crowded> {
    queue.enter(&lane(name), name, Instant::now())
}

fn next<'a>(queue: &mut Queue<&'a str>) -> Option<&'a str> {
    queue.next(Instant::now())
}

#[tokio::test]
async fn a_turn_is_there_at_once_while_places_are_free() {
    let mut queue = Queue::new(2, 0, Duration::ZERO);
    assert_eq!(enter(&mut queue, "a 1"), Ok(Entered::Turn("a 1")));
    assert_eq!(enter(&mut queue, "a 2"), Ok(Entered::Turn("a 2")));
    assert_eq!(enter(&mut queue, "b"), Err(Crowded), "nobody may wait");
    assert_eq!(next(&mut queue), None);
    assert_eq!(enter(&mut queue, "b"), Ok(Entered::Turn("b")));
}

#[tokio::test]
async fn turns_go_round_the_lanes_and_in_order_within_each() {
    let mut queue = Queue::new(1, 100, Duration::ZERO);
    for name in ["x", "flood 1", "flood 2", "flood 3", "flood 4", "calm 1", "other 1", "calm 2"] {
        enter(&mut queue, name).unwrap();
    }
    let order: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
    assert_eq!(order, ["flood 1", "calm 1", "other 1", "flood 2", "calm 2", "flood 3", "flood 4"]);
}

#[tokio::test]
async fn a_full_queue_sends_away_the_newest_of_the_longest_lane() {
    let mut queue = Queue::new(1, 4, Duration::ZERO);
    for name in ["x", "flood 1", "flood 2", "flood 3", "flood 4"] {
        enter(&mut queue, name).unwrap();
    }
    assert_eq!(enter(&mut queue, "flood 5"), Err(Crowded));
    assert!(enter(&mut queue, "calm 1").is_ok() && enter(&mut queue, "calm 2").is_ok());
    assert_eq!(enter(&mut queue, "calm 3"), Err(Crowded), "its share is taken");
    assert!(enter(&mut queue, "other 1").is_ok(), "a third lane has a share, too");
    let order: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
    assert_eq!(order.iter().filter(|name| name.starts_with("flood")).count(), 1, "{order:?}");
    assert!(order.contains(&"flood 1") && order.len() == 4, "the newest go first: {order:?}");
}

#[tokio::test]
async fn who_gives_up_keeps_nothing() {
    let mut queue = Queue::new(1, 4, Duration::ZERO);
    enter(&mut queue, "a 1").unwrap();
    let (Ok(Entered::Waits(first)), Ok(Entered::Waits(second))) = (enter(&mut queue, "a 2"), enter(&mut queue, "b 1"))
    else {
        panic!("there was no turn left")
    };
    let now = Instant::now();
    assert!(queue.leave(&lane("a"), first, now) && !queue.leave(&lane("a"), first, now));
    assert!(!queue.leave(&lane("a"), second, now), "it waits in another lane");
    assert_eq!((queue.waiting(), next(&mut queue)), (1, Some("b 1")));
    assert!(!queue.leave(&lane("b"), second, now), "it has its turn");
    assert_eq!((next(&mut queue), queue.free, queue.waiting, queue.order.len()), (None, 1, 0, 0));
}

/// Whatever held everybody up: of those of a flood nearly all are sent away then.
#[tokio::test(start_paused = true)]
async fn who_waits_alone_in_a_lane_is_served_however_long_that_took() {
    let mut queue = Queue::new(1, 100, 5 * MS);
    enter(&mut queue, "x").unwrap();
    for n in 0..400 {
        // Who would wait for too long does not come.
        _ = enter(&mut queue, "flood");
        if !queue.order.contains(&lane("calm")) {
            enter(&mut queue, "calm").unwrap();
        }
        advance(MS).await;
        assert!(n < 200 || queue.lanes.values().all(|line| line.presence.stands(Instant::now())));
        next(&mut queue).unwrap();
    }
    for name in ["flood", "flood", "flood", "calm"] {
        _ = enter(&mut queue, name);
    }
    let waiting = queue.waiting();
    assert!(waiting > 3, "{waiting}");
    advance(1000 * MS).await;
    let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
    assert_eq!(BTreeSet::from_iter(&served), BTreeSet::from([&"calm", &"flood"]));
    assert!(served.len() < waiting, "{served:?} of {waiting}");
}

/// What a server does with its time: milliseconds are far too long, so that all times are in microseconds.
#[derive(Clone, Copy)]
struct Costs {
    /// To read a head and send it away.
    refusal: u64,
    /// To read a request, and later to write its answer.
    request: u64,
    /// To search.
    search: u64,
}

/// What became of the later half of a run.
#[derive(Debug, Default)]
struct Outcome {
    /// Microseconds from when each came until it was answered.
    served: BTreeMap<&'static str, Vec<u64>>,
    refused: BTreeMap<&'static str, u64>,
}

impl Outcome {
    fn served(&self, who: &str) -> usize {
        self.served.get(who).map_or(0, Vec::len)
    }

    fn refused(&self, who: &str) -> u64 {
        self.refused.get(who).copied().unwrap_or_default()
    }

    /// The time that a hundredth of the answers exceed.
    fn p99(&self, who: &str) -> u64 {
        let mut times = self.served.get(who).cloned().unwrap_or_default();
        times.sort_unstable();
        times[(times.len() * 99).div_ceil(100) - 1]
    }
}

/// A server of one core, whose sockets are served before its searches are, as a system does with a thread that often waits:
/// each tenant asks so many times as often as there is time for, at moments that come from a fixed sequence. `seconds` long.
fn play(tenants: &[(&'static str, f64)], costs: Costs, patience: Duration, seconds: u64) -> Outcome {
    let (base, end) = (Instant::now(), seconds * 1_000_000);
    let at = |us: u64| base + Duration::from_micros(us);
    let mut queue: Queue<(&'static str, u64)> = Queue::new(1, 256, patience);
    let mut random = Lcg(1);
    let each = costs.request + costs.search;
    let mut due: Vec<(f64, f64, &'static str)> =
        tenants.iter().map(|(who, load)| (0.0, each as f64 / load, *who)).collect();
    let (mut now, mut running, mut out) = (0, None::<((&'static str, u64), u64)>, Outcome::default());
    while now < end {
        let (came, gap, who) = due.iter_mut().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        if *came <= now as f64 {
            let (asked, who) = (*came as u64, *who);
            *came += -(1.0 - random.draw()).ln() * *gap;
            let is_sent_away = queue.is_hopeless(&lane(who), at(now));
            now += if is_sent_away { costs.refusal } else { costs.request };
            match (!is_sent_away).then(|| queue.enter(&lane(who), (who, asked), at(now))) {
                Some(Ok(Entered::Turn(work))) => running = Some((work, costs.search)),
                Some(Ok(Entered::Waits(_))) => {}
                _ if asked > end / 2 => *out.refused.entry(who).or_default() += 1,
                _ => {}
            }
            continue;
        }
        // Until the next one comes, the search goes on.
        let until = (came.ceil() as u64).min(end);
        let Some((work, left)) = running else {
            now = until;
            continue;
        };
        let spent = left.min(until - now);
        now += spent;
        running = Some((work, left - spent));
        if left == spent {
            let (who, asked) = work;
            if asked > end / 2 {
                out.served.entry(who).or_default().push(now - asked);
            }
            running = queue.next(at(now)).map(|work| (work, costs.search));
        }
    }
    out
}

/// Numbers in 0..1, the same every time.
struct Lcg(u64);

impl Lcg {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const HEAVY: Costs = Costs { refusal: 20, request: 60, search: 740 };
const PATIENCE: Duration = Duration::from_millis(5);

#[tokio::test(start_paused = true)]
async fn five_times_too_much_leaves_four_fifths_served_and_none_of_them_late() {
    let full = 20 * 1_000_000 / 2 / (HEAVY.request + HEAVY.search) as usize;
    let light = play(&[("all", 0.8)], HEAVY, PATIENCE, 20);
    assert!(light.served("all") * 100 > 78 * full, "{} of {full}", light.served("all"));
    for load in [1.0, 2.0, 5.0] {
        let heavy = play(&[("all", load)], HEAVY, PATIENCE, 20);
        let (served, p99) = (heavy.served("all"), heavy.p99("all"));
        assert!(served * 100 >= 80 * full, "{load}: {served} of {full}");
        assert!(p99 <= 2 * light.p99("all"), "{load}: {p99} µs, and {} under a light load", light.p99("all"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_sent_away_and_its_neighbour_is_not() {
    let solo = play(&[("calm", 0.1)], HEAVY, PATIENCE, 20);
    let both = play(&[("calm", 0.1), ("flood", 4.9)], HEAVY, PATIENCE, 20);
    assert_eq!((both.refused("calm"), solo.refused("calm")), (0, 0), "the calm one is sent away");
    // Every other turn is the calm one's if it wants it: what it asks for takes a turn of the flood longer each.
    let longest = solo.p99("calm") + 4 * (HEAVY.search + HEAVY.request);
    assert!(both.p99("calm") <= longest, "{} µs beside a flood, {} alone", both.p99("calm"), solo.p99("calm"));
    assert!(both.refused("flood") > 5 * both.served("flood") as u64, "{both:?}");
}

#[tokio::test(start_paused = true)]
async fn a_light_load_is_served_whole() {
    let light = play(&[("all", 0.6)], HEAVY, PATIENCE, 20);
    assert!(light.refused("all") * 1000 <= light.served("all") as u64, "{}", light.refused("all"));
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_served_whole_however_short_the_patience() {
    let mut queue = Queue::new(1, 100, MS);
    for _ in 0..91 {
        enter(&mut queue, "burst").unwrap();
    }
    for _ in 0..90 {
        advance(MS).await;
        assert!(next(&mut queue).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn long_work_may_be_waited_for_however_short_the_patience() {
    let mut queue = Queue::new(1, 100, MS);
    enter(&mut queue, "slow").unwrap();
    for _ in 0..20 {
        // Two come in the time of one turn, so that somebody always waits.
        _ = (enter(&mut queue, "slow"), enter(&mut queue, "slow"));
        advance(Duration::from_secs(1)).await;
        assert!(next(&mut queue).is_some(), "the place is empty while somebody wants it");
    }
}

#[tokio::test(start_paused = true)]
async fn long_work_of_a_flood_keeps_nobody_else_out() {
    let mut queue = Queue::new(1, 100, MS);
    enter(&mut queue, "flood").unwrap();
    let mut served = 0;
    for _ in 0..40 {
        let came = ["flood", "calm", "flood", "other", "flood"].map(|name| enter(&mut queue, name));
        assert!(came[1].is_ok() && came[3].is_ok(), "who waits alone in a lane is sent away");
        for _ in 0..3 {
            advance(Duration::from_secs(1)).await;
            served += usize::from(next(&mut queue).is_some_and(|name| name != "flood"));
        }
    }
    assert!(served >= 78, "two of each three turns are those of the calm ones: {served} of 80");
}

#[tokio::test(start_paused = true)]
async fn names_of_lanes_cost_nothing_for_long() {
    let mut queue = Queue::new(1, 100, MS);
    queue.enter(&lane("first"), 0, Instant::now()).unwrap();
    for n in 0..10_000 {
        queue.enter(&n.to_string().into(), n, Instant::now()).unwrap();
        advance(MS).await;
        assert_eq!(queue.next(Instant::now()), Some(n));
        assert!(queue.lanes.len() <= EMPTY_LANES + 2, "{}", queue.lanes.len());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u8),
    Finish,
    GiveUp(usize),
    Pause(u8),
}

proptest! {
    #[test]
    fn no_history_loses_a_turn_or_makes_one(
        places in 1_usize..4,
        room in 0_usize..6,
        patience in 0_u64..3,
        steps in prop::collection::vec(
            prop_oneof![
                3 => (0_u8..3).prop_map(Step::Enter),
                2 => Just(Step::Finish),
                1 => any::<usize>().prop_map(Step::GiveUp),
                1 => any::<u8>().prop_map(Step::Pause),
            ],
            0..120,
        ),
    ) {
        let mut queue = Queue::new(places, room, patience as u32 * 20 * MS);
        let mut now = Instant::now();
        let (mut running, mut waiting) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Enter(of) => match queue.enter(&of.to_string().into(), (), now) {
                    Ok(Entered::Turn(())) => running += 1,
                    Ok(Entered::Waits(number)) => waiting.push((of, number)),
                    Err(Crowded) => {}
                },
                Step::Finish if running > 0 => running -= usize::from(queue.next(now).is_none()),
                Step::GiveUp(at) if !waiting.is_empty() => {
                    let (of, number) = waiting.swap_remove(at % waiting.len());
                    let before = queue.waiting();
                    let left = queue.leave(&of.to_string().into(), number, now);
                    prop_assert_eq!(queue.waiting(), before - usize::from(left));
                }
                Step::Pause(ms) => now += u32::from(ms) * MS,
                _ => {}
            }
            prop_assert_eq!(running + queue.free, places);
            prop_assert!(queue.waiting <= room && queue.waiting <= waiting.len());
            prop_assert!(queue.waiting == 0 || queue.free == 0);
            prop_assert_eq!(queue.lanes.values().map(|line| line.tickets.len()).sum::<usize>(), queue.waiting);
            let waited_in = queue.lanes.iter().filter(|(_, line)| !line.tickets.is_empty()).map(|(lane, _)| lane);
            prop_assert_eq!(queue.order.iter().collect::<BTreeSet<_>>(), waited_in.collect::<BTreeSet<_>>());
            prop_assert_eq!(queue.order.iter().collect::<BTreeSet<_>>().len(), queue.order.len());
        }
    }
}

//! Repair of frame times that are missing, wrong or restart.

/// Number of frames within which times must catch up after a step back to count as an error; otherwise the clock
/// restarted.
const LOOKAHEAD: usize = 16;

/// Repairs the times of frames in display order. The result ascends; it is empty if no time is known.
///
/// - If the clock steps back permanently, as in concatenated recordings, or jumps ahead by more than `jump`, later
///   times are shifted to continue the earlier ones.
/// - Times that step back or ahead for up to 16 frames count as missing.
/// - Missing times are interpolated between their neighbors; at the ends, frames last `frame` units.
pub(crate) fn repair(times: &[Option<i64>], frame: Option<i64>, jump: Option<i64>) -> Vec<i64> {
    let frame = frame.unwrap_or_else(|| typical_step(times));
    let kept = monotonic(times, frame, jump);
    fill(times.len(), &kept, frame)
}

/// The known times that ascend, as (frame, time), shifted by the clock's earlier restarts and jumps.
fn monotonic(times: &[Option<i64>], frame: i64, jump: Option<i64>) -> Vec<(usize, i64)> {
    let mut kept: Vec<(usize, i64)> = Vec::with_capacity(times.len());
    let mut shift = 0_i64;
    for (at, raw) in times.iter().enumerate() {
        let Some(raw) = *raw else { continue };
        let time = raw.saturating_add(shift);
        let Some(&(last_at, last)) = kept.last() else {
            kept.push((at, time));
            continue;
        };
        let steps = i64::try_from(at - last_at).unwrap_or(i64::MAX);
        let expected = last.saturating_add(frame.saturating_mul(steps));
        if time >= last {
            let is_jump = jump.is_some_and(|jump| time.saturating_sub(expected) > jump);
            if is_jump {
                shift = expected.saturating_sub(raw);
            }
            kept.push((at, if is_jump { expected } else { time }));
            continue;
        }
        let soon = times.iter().skip(at + 1).take(LOOKAHEAD).flatten();
        let mut soon = soon.map(|raw| raw.saturating_add(shift));
        if soon.any(|later| later >= last) {
            // A single error.
            continue;
        }
        match before_spike(&kept, time, frame) {
            Some(before) => {
                kept.truncate(before + 1);
                kept.push((at, time));
            }
            None => {
                shift = expected.saturating_sub(raw);
                kept.push((at, expected));
            }
        }
    }
    kept
}

/// Index of the last kept time before a spike that ends at `time`: a step ahead by many frames, at least as far as the
/// step back.
fn before_spike(kept: &[(usize, i64)], time: i64, frame: i64) -> Option<usize> {
    let last = kept.last()?.1;
    let before = kept.iter().rposition(|&(_, before)| before <= time)?;
    let up = kept.get(before + 1)?.1.saturating_sub(kept[before].1);
    let is_spike = up >= last.saturating_sub(time) && up > frame.saturating_mul(4) && kept.len() - before <= LOOKAHEAD;
    is_spike.then_some(before)
}

/// Interpolates the times of all frames from the known ones.
fn fill(count: usize, kept: &[(usize, i64)], frame: i64) -> Vec<i64> {
    let (Some(&(first_at, first)), Some(&(last_at, last))) = (kept.first(), kept.last()) else { return Vec::new() };
    let away = |frames: usize| frame.saturating_mul(i64::try_from(frames).unwrap_or(i64::MAX));
    let mut times: Vec<i64> = (0..first_at).map(|at| first.saturating_sub(away(first_at - at))).collect();
    times.reserve(count.saturating_sub(first_at));
    for pair in kept.windows(2) {
        let [(from_at, from), (to_at, to)] = [pair[0], pair[1]];
        let (span, steps) = (i128::from(to) - i128::from(from), (to_at - from_at) as i128);
        // The value is between the two, so that it fits.
        times.extend((0..steps).map(|step| (i128::from(from) + span * step / steps) as i64));
    }
    times.extend((last_at..count).map(|at| last.saturating_add(away(at - last_at))));
    times
}

/// The median of the positive steps between successive known times; 0 if there are none.
fn typical_step(times: &[Option<i64>]) -> i64 {
    let mut steps: Vec<i64> =
        times.windows(2).filter_map(|pair| pair[1]?.checked_sub(pair[0]?)).filter(|&step| step > 0).collect();
    let middle = steps.len() / 2;
    if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::repair;

    fn known(times: &[i64]) -> Vec<Option<i64>> {
        times.iter().copied().map(Some).collect()
    }

    #[test]
    fn valid_times_are_unchanged() {
        assert_eq!(repair(&known(&[5, 10, 10, 40, 45]), None, None), [5, 10, 10, 40, 45]);
        assert!(repair(&[], None, None).is_empty());
        assert!(repair(&[None, None], Some(4), None).is_empty());
    }

    #[test]
    fn missing_times_are_interpolated() {
        let times = [None, Some(10), None, None, Some(40), None];
        assert_eq!(repair(&times, Some(10), None), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn single_errors_are_interpolated() {
        assert_eq!(repair(&known(&[0, 10, 20, 3, 40, 50]), None, None), [0, 10, 20, 30, 40, 50]);
        assert_eq!(repair(&known(&[0, 10, 20, 9_000, 40, 50]), None, None), [0, 10, 20, 30, 40, 50]);
        assert_eq!(repair(&known(&[0, 10, 20, 19, 18, 50]), None, None), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn restarted_clocks_continue() {
        assert_eq!(repair(&known(&[100, 110, 120, 100, 110]), None, None), [100, 110, 120, 130, 140]);
        assert_eq!(repair(&known(&[100, 110, 7, 17, 27]), None, None), [100, 110, 120, 130, 140]);
        let ahead = known(&[0, 10, 20, 9_000, 9_010]);
        assert_eq!(repair(&ahead, None, Some(1_000)), [0, 10, 20, 30, 40]);
        assert_eq!(repair(&ahead, None, None), [0, 10, 20, 9_000, 9_010]);
    }

    #[test]
    fn results_ascend_for_random_times() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..3000 {
            let mut times = Vec::new();
            for _ in 0..next(60) {
                let extreme = [i64::MIN + 1, i64::MAX, 0][next(3) as usize];
                times.push((next(6) > 0).then(|| if next(20) == 0 { extreme } else { next(1000) as i64 - 300 }));
            }
            let repaired = repair(&times, (next(2) == 0).then_some(40), (next(2) == 0).then_some(500));
            let expected = if times.iter().all(Option::is_none) { 0 } else { times.len() };
            assert_eq!(repaired.len(), expected);
            assert!(repaired.is_sorted(), "{times:?} {repaired:?}");
        }
    }
}

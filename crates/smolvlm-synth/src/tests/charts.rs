//! Bar charts: answers derived from measured heights.

use crate::chart::{Bar, Chart, STEP};
use crate::kind::Kind;
use crate::picture::Medium;
use crate::sample::is_right;
use crate::split::Split;

/// Number of pixels in a bar's color above its bottom, in the center column of the bar.
fn measured(chart: &Chart, bar: &Bar) -> usize {
    let Some(Medium::Image(picture)) = chart.media().pop() else { panic!("not a still") };
    let (column, rgb) = (((bar.left + bar.right) / 2.0) as usize, bar.color.rgb());
    let same = |row: &usize| {
        let pixel = picture.pixel(column, *row);
        (0..3).all(|channel| (f32::from(pixel[channel]) - rgb[channel]).abs() < 20.0)
    };
    (0..chart.floor as usize).rev().take_while(same).count()
}

#[test]
fn answers_match_the_measured_heights() {
    for index in 0..200 {
        let mut random = Split::Train.random(83, index);
        let mut chart = Chart::new(&mut random);
        chart.grain = super::CLEAN;
        let mut bars: Vec<(usize, &Bar)> = chart.bars.iter().map(|bar| (measured(&chart, bar), bar)).collect();
        bars.sort_by_key(|bar| bar.0);
        assert!(bars.windows(2).all(|two| two[1].0 >= two[0].0 + STEP - 1), "{index}");
        for fact in chart.facts() {
            let turn = fact.ask(&mut random);
            let question = turn.question.trim_end_matches(['?', '.']);
            let words: Vec<&str> = question.split([' ', ',']).collect();
            let by_label = |bar: &&(usize, &Bar)| words[3..].contains(&&bar.1.label[..]);
            let found = if turn.answer.bytes().all(|byte| byte.is_ascii_digit()) {
                bars.len().to_string()
            } else if words.contains(&"colour") {
                bars.iter().find(by_label).unwrap().1.color.name().to_owned()
            } else if words.contains(&"tallest") {
                bars[bars.len() - 1].1.label.clone()
            } else if words.contains(&"shortest") {
                bars[0].1.label.clone()
            } else if words.contains(&"taller") {
                bars.iter().rfind(by_label).unwrap().1.label.clone()
            } else {
                bars.iter().find(|bar| words.contains(&bar.1.color.name())).unwrap().1.label.clone()
            };
            assert!(turn.kind == Kind::Chart && is_right(&turn, &found), "{index}: {turn:?}, found {found}");
        }
    }
}

/// Labels are below their bars, inside the image, and do not overlap.
#[test]
fn labels_are_inside_and_do_not_overlap() {
    for index in 0..2000 {
        let chart = Chart::new(&mut Split::Train.random(84, index));
        assert!(chart.floor + 3.5 + chart.text <= 127.0);
        let mut last = 0.0;
        for bar in &chart.bars {
            let (middle, half) = ((bar.left + bar.right) / 2.0, chart.font.width(&bar.label, chart.text) / 2.0);
            assert!(middle - half >= last + 2.0 && middle + half <= 126.0, "{index}: {}", bar.label);
            last = middle + half;
        }
    }
}

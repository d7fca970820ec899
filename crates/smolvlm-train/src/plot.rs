//! Plots of the loss curves.

use crate::Error;
use plotters::prelude::{
    BLACK, BLUE, ChartBuilder, IntoDrawingArea, IntoFont, LineSeries, RED, SVGBackend, SeriesLabelPosition, WHITE,
};
use serde_json::Value;
use smolvlm_files::OutputFile;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Maximum number of points per curve. Longer curves are averaged over neighboring points.
const POINTS: usize = 400;

/// Plots the losses of a metrics file, as training writes it, over the steps as an SVG image. If a resumed run repeated
/// a step, the later entry is used.
///
/// # Errors
///
/// [`Error::Io`] for files that cannot be read or written, or contain no losses.
pub fn plot_metrics(metrics: &Path, picture: &Path) -> Result<(), Error> {
    let text = fs::read_to_string(metrics).map_err(|source| Error::io(metrics, source))?;
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let series = |key: &str| -> Vec<(f64, f64)> {
        let points = lines.iter().filter_map(|line| Some((line.get("step")?.as_u64()?, line.get(key)?.as_f64()?)));
        let points: BTreeMap<u64, f64> = points.collect();
        let points: Vec<(f64, f64)> = points.into_iter().map(|(step, loss)| (step as f64, loss)).collect();
        means(&points, points.len().div_ceil(POINTS).max(1))
    };
    let (train, eval) = (series("loss"), series("eval_loss"));
    let all = || train.iter().chain(&eval);
    let fail = |path: &Path, message: String| Error::io(path, std::io::Error::other(message));
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let most = all().map(|point| point.1).fold(0.0, f64::max);
    if all().next().is_none() || most <= 0.0 {
        return Err(fail(metrics, "the file contains no losses".to_owned()));
    }
    let failed = |error| Error::io(picture, error);
    let draft = OutputFile::resolve(picture).and_then(|output| output.draft()).map_err(failed)?;
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(draft.path(), (900, 500)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("loss", ("sans-serif", 22).into_font())
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..last, 0.0..most * 1.05)?;
        chart.configure_mesh().x_desc("step").draw()?;
        chart
            .draw_series(LineSeries::new(train.iter().copied(), BLUE))?
            .label("training")
            .legend(|(x, y)| plotters::element::PathElement::new([(x, y), (x + 16, y)], BLUE));
        chart
            .draw_series(LineSeries::new(eval.iter().copied(), RED))?
            .label("evaluation")
            .legend(|(x, y)| plotters::element::PathElement::new([(x, y), (x + 16, y)], RED));
        chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).border_style(BLACK).draw()?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| fail(picture, error.to_string()))?;
    draft.commit().map_err(failed)
}

/// Averages every `count` consecutive points.
fn means(points: &[(f64, f64)], count: usize) -> Vec<(f64, f64)> {
    let mean = |points: &[(f64, f64)]| {
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
    };
    points.chunks(count).map(mean).collect()
}

//! Throughput and CPU against the number of calls at once, as an SVG.

use plotters::prelude::*;

use crate::calls::Point;
use crate::clients::Result;

/// One of a point's values.
type Value = fn(&(f64, f64)) -> f64;
/// A client: name, colour, its values of a point.
type Side = (&'static str, RGBColor, fn(&Point) -> (f64, f64));

pub fn svg(points: &[Point]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (960, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let (left, right) = area.split_horizontally(480);
        chart(&left, "calls a second", points, |(throughput, _)| *throughput)?;
        chart(&right, "CPU a call, in us", points, |(_, cpu)| *cpu)?;
        area.present()?;
    }
    Ok(svg)
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    points: &[Point],
    value: Value,
) -> Result<()> {
    let all = points.iter().flat_map(|point| [value(&point.plex_auth), value(&point.baseline)]);
    let top = all.fold(0.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d((1.0..1024.0_f64).log_scale().base(2.0), 0.0..top)?;
    chart.configure_mesh().x_desc("calls at once").x_labels(11).draw()?;
    let sides: [Side; 2] = [
        ("plex-auth", RGBColor(0xB8, 0x5C, 0x00), |point| point.plex_auth),
        ("reqwest by hand", RGBColor(0x1F, 0x5F, 0xA8), |point| point.baseline),
    ];
    for (name, colour, side) in sides {
        let line = points.iter().map(|point| (point.at_once as f64, value(&side(point))));
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

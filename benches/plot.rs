//! The time to connect over each list, as an SVG.

use plotters::prelude::*;

use crate::baseline::Result;
use crate::connect::Run;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.svg");
const CLIENTS: [(&str, RGBColor); 3] = [
    ("plex-auth", RGBColor(0xB8, 0x5C, 0x00)),
    ("all at once", RGBColor(0x1F, 0x5F, 0xA8)),
    ("physical limit", RGBColor(0x77, 0x77, 0x77)),
];

pub fn draw(rows: &[(&str, [Run; 3])]) -> Result<()> {
    let area = SVGBackend::new(PATH, (960, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Seconds to connect (a cross: gave up)", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(300)
        // The first list on top.
        .build_cartesian_2d((5e-4..30.0).log_scale(), rows.len() as f64..-1.0)?;
    let name = |y: &f64| match rows.get(y.abs() as usize) {
        Some((name, _)) if *y >= 0.0 => (*name).to_owned(),
        _ => String::new(),
    };
    let mut mesh = chart.configure_mesh();
    mesh.y_max_light_lines(0).y_labels(rows.len() + 2).y_label_formatter(&name).draw()?;
    for (client, (name, colour)) in CLIENTS.into_iter().enumerate() {
        let mark = |(row, (_, runs)): (usize, &(&str, [Run; 3]))| {
            let at = (runs[client].seconds, row as f64 + (client as f64 - 1.0) / 5.0);
            match runs[client].found {
                Some(_) => Circle::new(at, 5, colour.filled()).into_dyn(),
                None => Cross::new(at, 5, colour).into_dyn(),
            }
        };
        chart
            .draw_series(rows.iter().enumerate().map(mark))?
            .label(name)
            .legend(move |at| Circle::new(at, 5, colour.filled()));
    }
    let legend = SeriesLabelPosition::UpperRight;
    chart.configure_series_labels().position(legend).background_style(WHITE).draw()?;
    area.present()?;
    Ok(())
}

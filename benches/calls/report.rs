//! What was measured, for a person and for a script.

/// A part of the benchmark's result.
#[derive(Default)]
pub struct Section {
    /// In Markdown.
    pub table: String,
    /// `ratio NAME VALUE` lines.
    pub ratios: String,
    /// An SVG.
    pub plot: Option<String>,
}

impl From<Vec<Line>> for Section {
    fn from(lines: Vec<Line>) -> Self {
        let ratios = lines.iter().map(Line::ratio).collect();
        Self { table: Line::table(&lines), ratios, plot: None }
    }
}

/// What a value should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    Shown,
}

/// A ratio of this crate to another client, or a value of this crate alone.
pub struct Line {
    name: &'static str,
    unit: &'static str,
    goal: Goal,
    value: f64,
    /// First and third quartile of the value.
    spread: (f64, f64),
    /// The medians of both.
    medians: Option<(f64, f64)>,
}

impl Line {
    /// The median over the rounds of this crate's value over the other's.
    pub fn of(
        name: &'static str,
        unit: &'static str,
        goal: Goal,
        ours: &[f64],
        theirs: &[f64],
    ) -> Self {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let [first, value, third] = quartiles(ratios);
        let medians = Some((median(ours.to_vec()), median(theirs.to_vec())));
        Self { name, unit, goal, value, spread: (first, third), medians }
    }

    /// The median of this crate's values.
    pub fn alone(name: &'static str, unit: &'static str, goal: Goal, ours: Vec<f64>) -> Self {
        let [first, value, third] = quartiles(ours);
        Self { name, unit, goal, value, spread: (first, third), medians: None }
    }

    fn table(lines: &[Self]) -> String {
        let mut table = String::from(
            "| name | value | quartiles | goal | plex-auth | the other | unit |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for line in lines {
            let Self { name, unit, value, spread: (first, third), .. } = line;
            let goal = match line.goal {
                Goal::AtMost(goal) => format!("at most {goal}"),
                Goal::AtLeast(goal) => format!("at least {goal}"),
                Goal::Shown => "none".to_owned(),
            };
            let medians = line
                .medians
                .map_or(String::from(" | "), |(ours, theirs)| format!("{ours:.1} | {theirs:.1}"));
            table += &format!(
                "| `{name}` | {value:.3} | {first:.3} to {third:.3} | {goal} | {medians} | {unit} |\n"
            );
        }
        table
    }

    /// The line for a script.
    pub fn ratio(&self) -> String {
        format!("ratio {} {:.3}\n", self.name, self.value)
    }
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let index = (values.len().saturating_sub(1)) as f64 * part;
        values.get(index.round() as usize).copied().unwrap_or(f64::NAN)
    };
    [at(0.25), at(0.5), at(0.75)]
}

pub fn median(values: Vec<f64>) -> f64 {
    quartiles(values)[1]
}

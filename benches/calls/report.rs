//! What was measured, for a person and for a machine.

/// What a value should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    Shown,
}

/// A ratio of ours over theirs, or a value of ours alone.
pub struct Line {
    name: &'static str,
    unit: &'static str,
    goal: Goal,
    value: f64,
    /// First and third quartile of the value.
    spread: (f64, f64),
    /// The medians that the ratio is of.
    from: Option<(f64, f64)>,
}

impl Line {
    /// The median over the rounds of ours over theirs.
    pub fn of(
        name: &'static str,
        unit: &'static str,
        goal: Goal,
        ours: &[f64],
        theirs: &[f64],
    ) -> Self {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let [first, value, third] = quartiles(ratios);
        let from = Some((median(ours.to_vec()), median(theirs.to_vec())));
        Self { name, unit, goal, value, spread: (first, third), from }
    }

    /// The median of values of ours.
    pub fn alone(name: &'static str, unit: &'static str, goal: Goal, ours: Vec<f64>) -> Self {
        let [first, value, third] = quartiles(ours);
        Self { name, unit, goal, value, spread: (first, third), from: None }
    }

    pub fn table(lines: &[Self]) -> String {
        let mut table = String::from(
            "| name | value | quartiles | goal | plex-auth | the other | unit |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for line in lines {
            let Self { name, unit, value, spread: (first, third), .. } = line;
            let goal = match line.goal {
                Goal::AtMost(goal) => format!("at most {goal:.2}"),
                Goal::AtLeast(goal) => format!("at least {goal:.2}"),
                Goal::Shown => "shown".to_owned(),
            };
            let from = line
                .from
                .map_or(String::from(" | "), |(ours, theirs)| format!("{ours:.1} | {theirs:.1}"));
            table += &format!(
                "| `{name}` | {value:.3} | {first:.3} to {third:.3} | {goal} | {from} | {unit} |\n"
            );
        }
        table
    }

    /// The line for a machine.
    pub fn ratio(&self) -> String {
        format!("ratio {} {:.3}", self.name, self.value)
    }
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (values.len().saturating_sub(1)) as f64 * part;
        values.get(place.round() as usize).copied().unwrap_or(f64::NAN)
    };
    [at(0.25), at(0.5), at(0.75)]
}

pub fn median(values: Vec<f64>) -> f64 {
    quartiles(values)[1]
}

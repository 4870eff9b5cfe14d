//! Shares of a whole, side by side: one bar for each row, drawn against the longest.

use std::fmt::Write as _;

use crate::page::{dollars, escaped};

/// A bar.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// What is written beside its name.
    pub told: String,
    /// Nano-dollars, in the order of the parts' names.
    pub parts: Vec<i128>,
}

/// Bars of parts, with what each colour is. Parts that nobody has are left out.
pub fn stacked(names: &[&str], rows: &[Row]) -> String {
    let is_there = |part: usize| rows.iter().any(|row| row.parts[part] > 0);
    let shown: Vec<usize> = (0..names.len()).filter(|part| is_there(*part)).collect();
    let longest = rows.iter().map(|row| row.parts.iter().sum::<i128>()).max().unwrap_or(0).max(1);
    let mut text = String::from("<ul class=\"legend\">\n");
    for part in &shown {
        let _ = writeln!(text, "<li><i class=\"k{part}\"></i>{}</li>", names[*part]);
    }
    text += "</ul>\n<div class=\"bars\">\n";
    for row in rows {
        let _ = write!(
            text,
            "<div class=\"name\"><span>{}</span><span>{}</span></div>\n<div class=\"bar\">",
            escaped(&row.name),
            row.told
        );
        for part in &shown {
            let amount = row.parts[*part];
            let width = amount as f64 / longest as f64 * 100.0;
            if amount > 0 {
                let _ = write!(
                    text,
                    "<i class=\"k{part}\" style=\"width:{width:.3}%\" title=\"{}: {}\"></i>",
                    names[*part],
                    dollars(amount)
                );
            }
        }
        text += "</div>\n";
    }
    text + "</div>\n"
}

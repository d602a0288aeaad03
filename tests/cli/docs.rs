//! What the operators' pages say is what the program does.

mod fidelity;
mod operations;
mod setup;
mod topology;

/// The first block of that language below a heading, or below the top.
fn block(page: &'static str, below: &str, language: &str) -> &'static str {
    let rest = page.split(below).nth(1).unwrap();
    let start = rest.split(&format!("```{language}\n")).nth(1).unwrap();
    start.split("\n```").next().unwrap()
}

/// The rows of the first table below a heading, each with its cells; the head and the rule are left out.
fn table(page: &'static str, below: &str) -> Vec<Vec<&'static str>> {
    let rest = page.split(below).nth(1).unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Every block of that language in one section, in order.
fn blocks(page: &'static str, heading: &str, language: &str) -> Vec<&'static str> {
    let rest = page.split(&format!("\n{heading}")).nth(1).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let begins = format!("```{language}\n");
    let begun = section.split(&begins).skip(1);
    begun.map(|begun| begun.split("\n```").next().unwrap()).collect()
}

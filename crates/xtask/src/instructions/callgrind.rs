//! What callgrind writes at its end, as far as it is needed: its total, and what one function took by itself.
//!
//! Follows <https://valgrind.org/docs/manual/cl-format.html>: a function is named where it is first met, `cfn=(7) name`,
//! and by its number from then on; the lines of a function hold what it took by itself, but for the one after `calls=`.
//! How often something was called is told too, but of the whole run, also of what is not to be counted.

/// Instructions of everything that was counted.
pub(super) fn total(counts: &str) -> Option<u64> {
    counts.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

/// Instructions of this function, without those that it calls; its module is not asked for.
pub(super) fn own(counts: &str, name: &str) -> u64 {
    let Some(number) = counts.lines().find_map(|line| number_of(line, name)) else { return 0 };
    let mut is_inside = false;
    let mut own = 0;
    let mut lines = counts.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_prefix("fn=") {
            is_inside = first_word(function) == number;
        } else if line.starts_with("calls=") {
            lines.next();
        } else if is_inside {
            own += instructions(line).unwrap_or(0);
        }
    }
    own
}

/// Of a line `where how-many`; where may be a number, or a step from the line before.
fn instructions(line: &str) -> Option<u64> {
    let (place, instructions) = line.split_once(' ')?;
    let is_place = place.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first));
    if is_place { instructions.trim().parse().ok() } else { None }
}

/// The number that this line gives to a function of this name, if it does.
fn number_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let function = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn="))?;
    let (_, named) = function.split_once(' ')?;
    (named.rsplit("::").next() == Some(name)).then(|| first_word(function))
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = "\
version: 1
events: Ir
summary: 4482999

fn=(1) counted_here
5 7
cfn=(7) __rustc::__rust_alloc
calls=2000 0
5 900

fn=(7)
0 40
+3 2
cfn=(8) mi_malloc
calls=2000 0
* 800

fn=(9) another::alloc
5 90
fn=(7)
0 100

totals: 4482841
";

    #[test]
    fn a_total_is_what_the_file_ends_with() {
        assert_eq!(total(COUNTS), Some(4_482_841));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn what_a_function_calls_is_not_its_own() {
        assert_eq!(own(COUNTS, "__rust_alloc"), 142);
        assert_eq!(own(COUNTS, "alloc"), 90);
        assert_eq!(own(COUNTS, "counted_here"), 7);
        assert_eq!(own(COUNTS, "mi_malloc"), 0);
        assert_eq!(own(COUNTS, "missing"), 0);
    }
}

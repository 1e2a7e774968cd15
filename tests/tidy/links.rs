//! The rule that a page points at what is there. Only links inside the repository: the web is not ours to keep.

use crate::repository::{File, Finding, Repository};

pub fn dead(repository: &Repository) -> Vec<Finding> {
    let pages = repository.files().filter(|file| file.path.ends_with(".md"));
    let dead = |page| {
        let dead = targets(page)
            .into_iter()
            .filter(|(_, target)| !resolve(&page.path, target).is_some_and(|path| repository.has(&path)));
        dead.map(|(at, target)| page.finding(at, format!("`{target}` does not exist"))).collect::<Vec<_>>()
    };
    pages.flat_map(dead).collect()
}

/// The relative targets of a page's links, with their offsets; fenced code has none.
fn targets(page: &File) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut at, mut fenced) = (0, false);
    for line in page.text.split_inclusive('\n') {
        fenced ^= line.trim_start().starts_with("```");
        let inline = line.match_indices("](").map(|(start, sign)| start + sign.len());
        let reference = line.find("]: ").filter(|_| line.starts_with('[')).map(|start| start + 3);
        for start in inline.chain(reference).filter(|_| !fenced) {
            let target =
                line[start..].trim_start_matches('<').split([')', ' ', '>', '#', '\n']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !elsewhere {
                found.push((at + start, target));
            }
        }
        at += line.len();
    }
    found
}

/// `target` as seen from `page`, from the root of the repository; `None` if it leads outside.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::whats;

    #[test]
    fn a_dead_link_is_caught() {
        let page = "[a](../README.md#walks) [b](https://x.y) [c](#here)\n[d](gone.md \"title\") `x`\n```\n[e](code.md)\n```\n[f]: ../../out.md\n[g](src)\n";
        let repository = Repository::of(&[
            ("README.md", "[h](engine/src/lib.rs)"),
            ("engine/a.md", page),
            ("engine/src/lib.rs", ""),
        ]);
        let expected = ["engine/a.md:2 `gone.md` does not exist", "engine/a.md:6 `../../out.md` does not exist"];
        assert_eq!(whats(dead(&repository)), expected);
    }
}

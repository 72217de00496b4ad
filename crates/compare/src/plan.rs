//! What is compared: cases, each one job that every model does.

use std::collections::BTreeMap;
use std::rc::Rc;

use lab::case::{Case, PerModel};
use lab::models::Model;
use runner::inputs;
use suite::{Invalid, Job, Preset, Setting, Workload, files, thumbnails};

use crate::settings::of_workload;

/// The article's download, each model with the limit that it has there (10 threads, 4
/// processes, all of its 100 images at once as tasks); none if `cases` have no such
/// job, or its limit was set.
pub(crate) fn article_limits(
    cases: &[Case],
    settings: &[Setting],
    models: &[Model],
) -> Option<Case> {
    let chosen = |set: &Setting| set.workload == Workload::Download && set.key == "limit";
    let article =
        |case: &&Case| case.workload == Workload::Download && case.preset == Preset::Article;
    let case = cases.iter().find(article)?;
    let limit = |model: &Model| (model.name().to_owned(), model.article_limit.to_string());
    (!settings.iter().any(chosen)).then(|| Case {
        own: Some(Rc::new(PerModel {
            name: "own-limits",
            key: "limit",
            values: models.iter().map(limit).collect(),
        })),
        ..case.clone()
    })
}

/// A job with a preset's numbers, changed as `settings` say.
pub(crate) fn job(
    workload: Workload,
    preset: Preset,
    settings: &BTreeMap<&str, &str>,
) -> Result<Job, Invalid> {
    let mut full = workload.job(preset);
    for (key, value) in settings {
        full.set(key, value)?;
    }
    full.validate()?;
    if let Job::Download(job) = &full
        && let Some(list) = job.urls.as_ref().filter(|list| !list.is_file())
    {
        let allowed = "has to be a file with a URL on each line";
        return Err(Invalid::new("download.urls", list.display(), allowed));
    }
    if let Job::Files(files::Job { dir, .. }) | Job::Thumbnails(thumbnails::Job { dir, .. }) = &full
        && let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir())
    {
        let key = format!("{workload}.dir");
        return Err(Invalid::new(key, dir.display(), "has to be a directory"));
    }
    Ok(full)
}

/// The cases of these workloads, in the order of the tables.
pub(crate) fn cases(
    workloads: &[Workload],
    presets: &[Preset],
    settings: &[Setting],
    variants: bool,
) -> Result<Vec<Case>, Invalid> {
    let mut cases = Vec::new();
    for &workload in Workload::ALL {
        if !workloads.contains(&workload) {
            continue;
        }
        let settings = of_workload(settings, workload);
        for &preset in presets {
            let full = job(workload, preset, &settings)?;
            let case = |variant, full| Case {
                workload,
                preset,
                variant,
                own: None,
                point: None,
                cores: None,
                full,
                whole: false,
                divisor: 1,
            };
            cases.push(case(None, full.clone()));
            for variant in workload.variants(preset).filter(|_| variants) {
                // A setting of one of the variant's own keys replaces the variant.
                let mut keys = variant.set.iter().map(|(key, _)| key);
                if !keys.any(|key| settings.contains_key(*key)) {
                    cases.push(case(Some(variant), variant.of(&full)?));
                }
            }
        }
    }
    Ok(cases)
}

/// An image of the origin's mixed set, on average, in bytes.
const MIXED_IMAGE: u64 = 125_000;

/// The bytes that runs need on disk: twice the largest download, which is written
/// again before the earlier one is removed, or both ends of what is sent, and all files that are
/// made for jobs.
pub(crate) fn room_needed(cases: &[Case]) -> u64 {
    let bytes = |case: &Case| match &case.full {
        Job::Download(job) if job.image_bytes > 0 => job.images.saturating_mul(job.image_bytes),
        Job::Download(job) => job.images.saturating_mul(MIXED_IMAGE),
        Job::Send(job) => job.all_bytes(),
        // What it reads is counted below.
        Job::Counter(_)
        | Job::Pipeline(_)
        | Job::Primes(_)
        | Job::Exchange(_)
        | Job::Fetch(_)
        | Job::Offload(_)
        | Job::PingPong(_)
        | Job::Sleepers(_)
        | Job::Spawn(_)
        | Job::Deadlines(_)
        | Job::Echo(_)
        | Job::Datagram(_)
        | Job::Serve(_)
        | Job::Proxy(_)
        | Job::Scan(_)
        | Job::Chat(_)
        | Job::Files(_)
        | Job::Thumbnails(_) => 0,
    };
    let largest = cases.iter().map(bytes).max().unwrap_or(0);
    let inputs: u64 = inputs_needed(cases)
        .iter()
        .map(|case| inputs::room(&case.full))
        .sum();
    largest.saturating_mul(2).saturating_add(inputs)
}

/// The cases whose files have to be made, the largest of each workload: it includes
/// the files of the others.
pub(crate) fn inputs_needed(cases: &[Case]) -> Vec<&Case> {
    let size = |case: &Case| inputs::to_make(&case.full);
    let mut largest: Vec<&Case> = Vec::new();
    for case in cases.iter().filter(|case| size(case) > 0) {
        let mut known = largest.iter_mut();
        match known.find(|known| known.workload == case.workload) {
            Some(known) if size(known) >= size(case) => {}
            Some(known) => *known = case,
            None => largest.push(case),
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use lab::{models, workspace};

    use super::*;
    use crate::settings::{refuse_unused, setting};

    fn settings(texts: &[&str]) -> Vec<Setting> {
        let settings = texts.iter().map(|text| setting(text).expect("a setting"));
        settings.collect()
    }

    #[test]
    fn every_workload_has_its_cases() {
        let all = cases(Workload::ALL, &Preset::ALL, &[], true).expect("presets make sense");
        for &workload in Workload::ALL {
            let labels: Vec<_> = all
                .iter()
                .filter(|case| case.workload == workload)
                .map(Case::label)
                .collect();
            let variants = Preset::ALL.map(|preset| workload.variants(preset).count());
            assert_eq!(labels.len(), 2 + variants.iter().sum::<usize>());
            assert_eq!(labels[0], "article");
        }
    }

    #[test]
    fn settings_reach_the_job_and_the_runner() {
        let set = settings(&["fetch.delays_ms=1,2", "counter.guard=atomic"]);
        let all = cases(Workload::ALL, &[Preset::Heavy], &set, true).expect("they make sense");
        let of = |workload| all.iter().filter(move |case| case.workload == workload);
        let fetch = of(Workload::Fetch).next().expect("fetch");
        assert_eq!(fetch.settings(), ["delays_ms=1,2"]);
        // The guard was set, so there is no variant with another one.
        assert_eq!(of(Workload::Counter).count(), 1);
        let primes = of(Workload::Primes).next().expect("primes");
        assert!(primes.settings().is_empty());
    }

    #[test]
    fn a_scaled_job_is_what_the_runner_is_told() {
        let set = settings(&["counter.increments=100"]);
        let all =
            cases(&[Workload::Counter], &[Preset::Heavy], &set, true).expect("they make sense");
        let racy = Case {
            divisor: 4,
            ..all[1].clone()
        };
        assert_eq!(racy.label(), "heavy-racy");
        assert_eq!(racy.settings(), ["increments=25", "guard=racy"]);
    }

    #[test]
    fn each_model_has_the_articles_limit() {
        let all = cases(&[Workload::Download], &Preset::ALL, &[], true).expect("they make sense");
        let models = models::models(&workspace::root().expect("a checkout")).expect("models");
        let own = article_limits(&all, &[], &models).expect("it is compared");
        assert_eq!(own.label(), "article-own-limits");
        for (model, limit) in models.iter().zip([1, 10, 4, 100, 100, 100]) {
            let model = model.name();
            assert_eq!(own.of(model).job().to_json()["limit"], limit, "{model}");
        }
        assert_eq!(own.of("thread").settings(), ["limit=10"]);
        let chosen = settings(&["download.limit=3"]);
        assert!(article_limits(&all, &chosen, &models).is_none());
        assert!(article_limits(&[], &[], &models).is_none());
    }

    #[test]
    fn files_are_made_once_for_the_largest_job() {
        let all = cases(Workload::ALL, &Preset::ALL, &[], true).expect("presets make sense");
        let titles = inputs_needed(&all).into_iter().map(Case::title);
        let titles: Vec<_> = titles.collect();
        assert_eq!(titles, ["files heavy", "thumbnails heavy"]);
        let own = settings(&["files.dir=/", "thumbnails.dir=/"]);
        let all = cases(
            &[Workload::Files, Workload::Thumbnails],
            &Preset::ALL,
            &own,
            true,
        );
        let all = all.expect("there is such a directory");
        assert!(inputs_needed(&all).is_empty() && room_needed(&all) == 0);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, says) in [
            ("workers=1", "workload.key=value"),
            ("counter.workers", "workload.key=value"),
            ("contour.workers=1", "counter"),
            ("counter.wrkers=1", "workers, increments, guard"),
            ("counter.guard=luck", "lock"),
            ("download.into=/tmp", "of its own"),
            ("ping-pong.units=many", "whole number"),
        ] {
            let refused = setting(text).expect_err(text).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let set = settings(&["counter.workers=0"]);
        let refused = cases(Workload::ALL, &[Preset::Heavy], &set, true).expect_err("0 workers");
        assert!(refused.to_string().contains("from 1"), "{refused}");
        let nowhere = settings(&["files.dir=/no/such"]);
        let refused =
            cases(Workload::ALL, &[Preset::Heavy], &nowhere, true).expect_err("no directory");
        assert!(refused.to_string().contains("/no/such: has"), "{refused}");
        let refused = refuse_unused(&set, &[Workload::Primes]).expect_err("no counter");
        assert!(refused.to_string().contains("only primes"), "{refused}");
    }
}

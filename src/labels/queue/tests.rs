use super::*;

fn question(number: usize) -> Question {
    let responses = ["a", "b", "c", "d"].map(|letter| format!(" {letter}{number}"));
    Question {
        id: format!("1-{number}"),
        query: format!("Query {number}."),
        responses: responses.into(),
        order: vec![2, 0, 3, 1],
        policy: "test".into(),
    }
}

struct Sitting {
    folder: tempfile::TempDir,
    queue: LabelQueue,
}

fn sitting(wanted: usize, repeated: f64, questions: usize) -> Sitting {
    let folder = tempfile::tempdir().unwrap();
    let log = LabelLog::open(&folder.path().join("labels.jsonl")).unwrap();
    let mut queue = LabelQueue::new(log, QueueSettings { wanted, repeated, seed: 1 });
    queue.offer((0..questions).map(question));
    Sitting { folder, queue }
}

impl Sitting {
    fn id(&mut self, labeler: &str) -> String {
        match self.queue.next(labeler).unwrap() {
            NextTask::Answer(question) => question.id,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, labeler: &str, answer: Answer) -> String {
        let id = self.id(labeler);
        let attribution = Attribution { labeler: labeler.into(), ms: Some(1500), at: Some(7) };
        self.queue.answer(&id, answer, attribution).unwrap();
        id
    }
}

#[test]
fn the_last_questions_are_answered_whoever_took_or_skipped_them() {
    let mut sitting = sitting(3, 0.0, 0);
    sitting.queue.set_questions(&[0, 1, 2].map(question));
    assert_eq!(sitting.id("ada"), "1-0");
    assert_eq!(sitting.id("bob"), "1-1");
    sitting.queue.skip("bob", "1-1").unwrap();
    assert_eq!(sitting.answer("bob", Answer::CannotTell), "1-2");
    assert_eq!(sitting.queue.progress("bob").labels, 1);
    // Bob skipped 1-1, but nobody else takes it; Ada has 1-0 before her, but she is gone.
    assert_eq!(sitting.answer("bob", Answer::Best(0)), "1-1");
    assert_eq!(sitting.id("bob"), "1-0");
    sitting.queue.skip("bob", "1-0").unwrap();
    assert_eq!(sitting.answer("bob", Answer::Best(0)), "1-0");
    assert_eq!(sitting.queue.next("ada").unwrap(), NextTask::Done);
    let late = Attribution { labeler: "ada".into(), ..Attribution::default() };
    let late = sitting.queue.answer("1-0", Answer::Best(1), late).unwrap_err();
    assert!(late.to_string().contains("somebody else"), "{late}");
    assert_eq!((sitting.queue.progress("bob").labels, sitting.queue.log().labels()), (3, 2));
}

#[test]
fn what_another_judging_asked_is_not_taken_back() {
    let mut sitting = sitting(9, 0.0, 1);
    sitting.answer("ada", Answer::Best(0));
    sitting.queue.set_questions(&[1, 2].map(question));
    assert!(sitting.queue.undo("ada", None).is_err(), "an answer to another question");
    assert_eq!(sitting.answer("ada", Answer::CannotTell), "1-1");
    sitting.queue.undo("ada", None).unwrap();
    assert_eq!((sitting.queue.progress("ada").labels, sitting.queue.progress("ada").yours), (0, 0));
    assert_eq!(sitting.answer("ada", Answer::Best(1)), "1-1");
    sitting.queue.set_questions(&[]);
    assert_eq!(sitting.queue.next("bob").unwrap(), NextTask::Wait);
    let offered_again = [1, 2].map(question);
    sitting.queue.set_questions(&offered_again);
    assert_eq!(sitting.answer("bob", Answer::Best(1)), "1-2");
    assert!(sitting.queue.is_done());
}

#[test]
fn those_who_come_last_share_what_is_left() {
    let mut sitting = sitting(2, 0.0, 0);
    sitting.queue.set_questions(&[0, 1].map(question));
    let taken = ["ada", "bob", "cem", "dan"].map(|labeler| sitting.id(labeler));
    assert_eq!(taken, ["1-0", "1-1", "1-0", "1-1"]);
}

#[test]
fn a_place_on_the_screen_becomes_the_response_that_stood_there() {
    let mut sitting = sitting(9, 0.0, 2);
    assert_eq!(sitting.answer("ada", Answer::Best(2)), "1-0");
    let comparisons = sitting.queue.log().comparisons().unwrap();
    let [label] = comparisons.as_slice() else { panic!() };
    assert_eq!((label.best, label.labeler.as_str(), label.ms), (3, "ada", Some(1500)));
    sitting.answer("ada", Answer::CannotTell);
    assert_eq!(sitting.queue.log().labels(), 1);
    assert_eq!(sitting.queue.next("ada").unwrap(), NextTask::Wait);
    sitting.queue.offer([question(9)]);
    assert_eq!(sitting.id("ada"), "1-9");
    let nowhere =
        sitting.queue.answer("1-9", Answer::Best(4), Attribution { labeler: "ada".into(), ..Default::default() });
    assert!(nowhere.is_err());
}

#[test]
fn labelers_never_have_the_same_question_and_each_keeps_theirs_until_it_is_answered() {
    let mut sitting = sitting(9, 0.0, 3);
    assert_eq!((sitting.id("ada"), sitting.id("bob")), ("1-0".into(), "1-1".into()));
    assert_eq!(sitting.id("ada"), "1-0");
    let attribution = Attribution { labeler: "bob".into(), ..Attribution::default() };
    let refused = sitting.queue.answer("1-0", Answer::Best(0), attribution).unwrap_err();
    assert!(refused.to_string().contains("no longer your current one"), "{refused}");
    sitting.answer("bob", Answer::Best(0));
    // A second click, or an answer sent again because its confirmation was lost, counts once. Another answer is
    // refused.
    let again = || Attribution { labeler: "bob".into(), ..Attribution::default() };
    sitting.queue.answer("1-1", Answer::Best(0), again()).unwrap();
    assert!(sitting.queue.answer("1-1", Answer::Best(1), again()).is_err());
    assert!(sitting.queue.answer("1-1", Answer::CannotTell, again()).is_err());
    assert_eq!(sitting.queue.log().labels(), 1);
}

#[test]
fn a_skipped_question_goes_to_others() {
    let mut sitting = sitting(9, 0.0, 2);
    let first = sitting.id("ada");
    sitting.queue.skip("ada", &first).unwrap();
    assert_eq!(sitting.answer("ada", Answer::Best(0)), "1-1");
    assert_eq!(sitting.queue.next("ada").unwrap(), NextTask::Wait);
    assert!(sitting.queue.lacks(1) > 0, "ada waits although a question lies there");
    assert_eq!(sitting.answer("bob", Answer::Best(0)), "1-0");
}

#[test]
fn answers_are_taken_back_one_after_the_other_and_only_ones_own() {
    let mut sitting = sitting(9, 0.0, 4);
    assert!(sitting.queue.undo("ada", None).is_err());
    for _ in 0..2 {
        sitting.answer("ada", Answer::Best(0));
    }
    sitting.answer("bob", Answer::CannotTell);
    assert_eq!(sitting.id("ada"), "1-3");
    sitting.queue.undo("ada", None).unwrap();
    assert_eq!(sitting.id("ada"), "1-1");
    sitting.queue.undo("ada", None).unwrap();
    assert_eq!(sitting.answer("ada", Answer::Best(1)), "1-0");
    assert_eq!(sitting.answer("ada", Answer::Best(1)), "1-1");
    assert_eq!(sitting.id("ada"), "1-3");
    assert!(sitting.queue.undo("bob", None).is_ok() && sitting.queue.undo("bob", None).is_err());
    let path = sitting.folder.path().join("labels.jsonl");
    let best: Vec<usize> = sitting.queue.log().comparisons().unwrap().iter().map(|one| one.best).collect();
    assert_eq!(best, [0, 0], "the second answers, in the order 2, 0, 3, 1");
    drop(sitting.queue);
    assert_eq!(LabelLog::open(&path).unwrap().labels(), 2);
}

#[test]
fn so_many_labels_are_asked_for_and_no_more_questions_drawn() {
    let mut sitting = sitting(3, 0.0, 0);
    assert_eq!((sitting.queue.lacks(8), sitting.queue.next("ada").unwrap()), (3, NextTask::Wait));
    sitting.queue.offer((0..3).map(question));
    assert_eq!(sitting.queue.lacks(8), 0);
    sitting.answer("ada", Answer::CannotTell);
    assert_eq!(sitting.queue.lacks(8), 1, "an answer that does not choose is no label");
    sitting.queue.offer([question(3)]);
    for _ in 0..3 {
        sitting.answer("ada", Answer::Best(0));
    }
    assert_eq!(
        (sitting.queue.lacks(8), sitting.queue.next("ada").unwrap(), sitting.queue.is_done()),
        (0, NextTask::Done, true)
    );
}

#[test]
fn between_rounds_people_wait_and_any_of_them_can_stop_the_run() {
    let mut sitting = sitting(1, 0.0, 2);
    sitting.queue.begin_round(1, true);
    assert_eq!(sitting.queue.next("ada").unwrap(), NextTask::Wait, "questions of an older policy are gone");
    sitting.queue.offer([question(5)]);
    sitting.answer("ada", Answer::Best(0));
    assert_eq!(sitting.queue.next("ada").unwrap(), NextTask::Later);
    assert!(!sitting.queue.progress("ada").stop_switch);
    let run = Interrupt::new();
    sitting.queue.attach_stop_switch(run.clone());
    sitting.queue.begin_round(1, false);
    assert_eq!(
        sitting.queue.next("ada").unwrap(),
        NextTask::Training,
        "the last round is labelled, and the run goes on"
    );
    sitting.queue.close();
    assert!(sitting.queue.undo("ada", None).is_err(), "a fit has begun with what was answered");
    assert!(!sitting.queue.has_told_everybody());
    assert!(sitting.queue.progress("ada").stop_switch && !run.requested());
    let mut other = self::sitting(1, 0.0, 1);
    other.queue.stop();
    assert_eq!(
        (other.queue.next("ada").unwrap(), other.queue.stopped_by()),
        (NextTask::Stopped, None),
        "it stopped itself"
    );
    sitting.queue.stop_run("ada");
    sitting.queue.stop_run("bob");
    assert!(run.check().is_err() && !sitting.queue.progress("bob").stop_switch);
    assert_eq!(sitting.queue.stopped_by(), Some("ada"));
    assert_eq!(
        [sitting.queue.next("ada").unwrap(), sitting.queue.next("bob").unwrap()],
        [NextTask::Stopped, NextTask::Stopped]
    );
    assert!(sitting.queue.has_told_everybody());
}

#[test]
fn a_round_may_end_with_the_labels_that_there_are() {
    let mut sitting = sitting(9, 0.0, 1);
    sitting.answer("ada", Answer::Best(0));
    sitting.queue.end_round();
    assert_eq!(sitting.queue.next("ada").unwrap(), NextTask::Done);
}

#[test]
fn a_share_of_the_questions_comes_again_and_agreement_is_counted() {
    let mut sitting = sitting(400, 0.25, 400);
    let mut again = 0;
    for number in 0..400 {
        let labeler = if number % 2 == 0 { "ada" } else { "bob" };
        // Ada always likes the same text, whatever its place; Bob always takes the first place.
        let NextTask::Answer(question) = sitting.queue.next(labeler).unwrap() else { panic!() };
        let first = question.order.iter().position(|&index| index == 0).unwrap();
        again += usize::from(question.id.contains("-again-"));
        sitting.answer(labeler, Answer::Best(if labeler == "ada" { first } else { 0 }));
    }
    assert!((70..=130).contains(&again), "{again} of 400");
    let [ada, bob] = ["ada", "bob"].map(|labeler| sitting.queue.progress(labeler));
    assert_eq!(ada.agreement_with_self.rate(), Some(1.0));
    assert!(ada.agreement_with_self.pairs > 10 && ada.agreement_of_all.pairs > 10);
    assert!(bob.agreement_with_self.rate().unwrap() < 0.6, "{bob:?}");
    assert_eq!((ada.labels, ada.yours, ada.seconds_a_label), (400, 200, Some(1.5)));
    let answers = &sitting.queue.log().comparisons().unwrap();
    for one in answers {
        let times = answers.iter().filter(|other| other.labeler == one.labeler && other.query == one.query);
        assert!(times.count() <= 2);
    }
}

//! Bodies of POST requests, however they come.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use engineioxide::{
    BodyBounds, BodyBudget, BodyRefused,
    config::{EngineIoConfig, EngineIoConfigBuilder},
    service::{EngineIoService, NotFoundService},
};
use futures::future::{join, join_all};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::{Request, service::Service as _};
use proptest::prelude::*;
use tokio::time::{Sleep, sleep};

use crate::support::{Echo, sid_of};

/// What the engine's budget does not count of each body.
const NOT_COUNTED: usize = 16 << 10;
const MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
enum Step {
    Data(usize),
    Trailers,
    /// So many times 10 ms.
    Wait(u64),
    Break,
}

fn steps(max_data: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..=max_data).prop_map(Step::Data),
        3 => (0_u64..4).prop_map(Step::Wait),
        1 => Just(Step::Trailers),
        1 => Just(Step::Break),
    ];
    prop::collection::vec(step, 0..10)
}

/// A body that is one text message: `4abc…`.
struct Steps {
    steps: VecDeque<Step>,
    come: usize,
    announced: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

fn message(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(|i| if i == 0 { b'4' } else { b'a' + (i % 26) as u8 }).collect()
}

impl Body for Steps {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            let frame = match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Wait(tens)) => {
                    self.timer = Some(Box::pin(sleep(Duration::from_millis(10 * tens))));
                    continue;
                }
                Some(Step::Data(bytes)) => {
                    let from = self.come;
                    self.come += bytes;
                    Ok(Frame::data(message(from..from + bytes).into()))
                }
                Some(Step::Trailers) => Ok(Frame::trailers(http::HeaderMap::new())),
                Some(Step::Break) => Err("broken"),
            };
            return Poll::Ready(Some(frame));
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced);
        hint
    }
}

/// How a body of these steps is answered.
fn expected(steps: &[Step], announced: u64, max: usize, within: u64, budget: usize) -> (u16, Option<BodyRefused>) {
    let (mut passed, mut come) = (0, 0);
    if announced > max as u64 {
        return (413, Some(BodyRefused::TooLarge));
    }
    for step in steps {
        match *step {
            Step::Trailers => {}
            Step::Wait(tens) => passed += 10 * tens,
            Step::Break => return (400, None),
            Step::Data(bytes) => come += bytes,
        }
        if passed > within {
            return (408, Some(BodyRefused::TooSlow));
        }
        if come > max {
            return (413, Some(BodyRefused::TooLarge));
        }
        if come > budget {
            return (503, Some(BodyRefused::NoRoom));
        }
    }
    // An empty payload holds what is no packet.
    (if come == 0 { 400 } else { 200 }, None)
}

/// So many bytes, until it is dropped.
struct Budget {
    room: usize,
    taken: AtomicUsize,
}

impl BodyBudget for Budget {
    fn take(&self, bytes: usize) -> bool {
        self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.room
    }
}

struct Engine(EngineIoService<Echo, NotFoundService>);

struct Answer {
    status: u16,
    refused: Option<BodyRefused>,
    body: Vec<u8>,
}

impl Engine {
    fn new(config: EngineIoConfigBuilder) -> Self {
        let config = config.max_payload_before_connect(None).ping_interval(Duration::from_secs(3600));
        Self(EngineIoService::with_config(Arc::default(), config.build()))
    }

    async fn request(
        &self,
        method: &str,
        query: &str,
        steps: &[Step],
        announced: u64,
        bounds: Option<BodyBounds>,
    ) -> Answer {
        let uri = format!("/engine.io/?EIO=4&transport=polling{query}");
        let body = Steps { steps: steps.iter().copied().collect(), come: 0, announced, timer: None };
        let mut request = Request::builder().method(method).uri(uri).body(body).unwrap();
        bounds.into_iter().for_each(|bounds| drop(request.extensions_mut().insert(bounds)));
        let (parts, body) = self.0.call(request).await.unwrap().into_parts();
        let announced = body.size_hint().exact();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        assert_eq!(announced, Some(body.len() as u64));
        Answer { status: parts.status.as_u16(), refused: parts.extensions.get().copied(), body }
    }

    async fn open(&self) -> String {
        let answer = self.request("GET", "", &[], 0, None).await;
        format!("&sid={}", sid_of(std::str::from_utf8(&answer.body).unwrap()))
    }

    /// Posts a body to a new session; the answer, and what the application got, if it got something.
    async fn post(&self, steps: &[Step], announced: u64, bounds: Option<BodyBounds>) -> (Answer, Option<Vec<u8>>) {
        let session = self.open().await;
        let answer = self.request("POST", &session, steps, announced, bounds).await;
        if answer.status != 200 {
            return (answer, None);
        }
        let echo = self.request("GET", &session, &[], 0, None).await;
        (answer, Some(echo.body))
    }
}

/// What the application gets of a body that is taken.
fn whole(steps: &[Step]) -> Vec<u8> {
    let bytes = steps.iter().map(|step| if let Step::Data(bytes) = step { *bytes } else { 0 });
    message(0..bytes.sum())
}

/// Runs on a clock that does not wait.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test)
}

proptest! {
    #![proptest_config(super::cases(2000))]

    #[test]
    fn a_body_is_taken_whole_or_refused_for_its_first_fault(
        steps in steps(40),
        announced in prop_oneof![3 => Just(0), 1 => 0_u64..200],
        max in 1_usize..200,
        tens in 0_u64..12,
        room in 0_usize..200,
    ) {
        let within = 10 * tens + 5;
        let budget = Arc::new(Budget { room, taken: AtomicUsize::new(0) });
        let bounds = BodyBounds { within: Duration::from_millis(within), budget: budget.clone() };
        let (answer, got) = run(async {
            let engine = Engine::new(EngineIoConfig::builder().max_payload(max as u64));
            engine.post(&steps, announced, Some(bounds)).await
        });
        let (status, refused) = expected(&steps, announced, max, within, room);
        prop_assert_eq!((answer.status, answer.refused), (status, refused));
        prop_assert_eq!(got, (status == 200).then(|| whole(&steps)));
        prop_assert_eq!(Arc::strong_count(&budget), 1, "the body's bytes are given back");
    }
}

proptest! {
    // Each has some hundred kB.
    #![proptest_config(super::cases(200))]

    #[test]
    fn bodies_that_come_at_once_give_all_room_back(bodies in prop::collection::vec(steps(20 << 10), 1..8)) {
        const WITHIN: u64 = 55;
        run(async {
            let config = EngineIoConfig::builder().max_payload(MAX as u64).max_bytes_of_bodies(0);
            let engine = Engine::new(config.body_timeout(Duration::from_millis(WITHIN)));
            let answers = join_all(bodies.iter().map(|steps| engine.post(steps, 0, None))).await;
            for (steps, (answer, got)) in bodies.iter().zip(answers) {
                if answer.status == 503 {
                    prop_assert_eq!(answer.refused, Some(BodyRefused::NoRoom));
                    continue;
                }
                let (status, refused) = expected(steps, 0, MAX, WITHIN, usize::MAX);
                prop_assert_eq!((answer.status, answer.refused), (status, refused));
                prop_assert_eq!(got, (status == 200).then(|| whole(steps)));
            }
            // These two fill the room to the last byte.
            let (first, second) = ([Step::Data(MAX), Step::Wait(1)], [Step::Data(2 * NOT_COUNTED), Step::Wait(1)]);
            let (first, second) = join(engine.post(&first, 0, None), engine.post(&second, 0, None)).await;
            prop_assert_eq!((first.0.status, second.0.status), (200, 200));
            Ok(())
        })?;
    }
}

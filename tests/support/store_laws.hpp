// store_laws.hpp: what holds for every StateStore, wherever it keeps its records.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/state_store.hpp"

namespace falproxy::tests {

/// What a callback brings, waited for. A second call is counted.
template <class T>
class Answer {
 public:
  [[nodiscard]] StateStore::Callback<T> callback() const {
    return [shared = shared_](Result<T, StoreError> result) {
      const std::lock_guard lock(shared->mutex);
      if (++shared->calls == 1) shared->result = std::move(result);
      shared->changed.notify_all();
    };
  }
  [[nodiscard]] Result<T, StoreError> wait() const {
    std::unique_lock lock(shared_->mutex);
    const bool came = shared_->changed.wait_for(lock, std::chrono::seconds(20),
                                                [&] { return shared_->result.has_value(); });
    if (!came) return StoreError{StoreFault::closed, "the callback was never called"};
    return *shared_->result;
  }
  [[nodiscard]] int calls() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->calls;
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<T, StoreError>> result;
    int calls = 0;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

inline Result<Done, StoreError> write(StateStore& store, const RunRecord& record,
                                      Durability durability = Durability::durable,
                                      TimePoint deadline = no_deadline) {
  const Answer<Done> answer;
  store.write(record, durability, deadline, answer.callback());
  return answer.wait();
}

inline Result<Done, StoreError> erase(StateStore& store, const RunId& id,
                                      TimePoint deadline = no_deadline) {
  const Answer<Done> answer;
  store.erase(id, deadline, answer.callback());
  return answer.wait();
}

inline Result<std::vector<RunRecord>, StoreError> find(StateStore& store, const RunQuery& query,
                                                       TimePoint deadline = no_deadline) {
  const Answer<std::vector<RunRecord>> answer;
  store.find(query, deadline, answer.callback());
  return answer.wait();
}

inline Result<std::uint64_t, StoreError> forget(StateStore& store, WallTime now) {
  const Answer<std::uint64_t> answer;
  store.forget_expired(now, no_deadline, answer.callback());
  return answer.wait();
}

inline RunId run_id(unsigned number) {
  RunId id;
  // Ids that begin alike, so that nobody takes a part of one for the whole.
  for (std::size_t i = 0; i < 4; ++i)
    id.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  id.bytes[0] = 0xA7;
  return id;
}

inline Digest digest_of(unsigned number) {
  Digest digest{};
  for (std::size_t i = 0; i < 4; ++i) digest[31 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  return digest;
}

inline WallTime at(int seconds) { return WallTime(std::chrono::seconds(1'800'000'000 + seconds)); }

/// The run `number` of alice, created `number` seconds after all began.
inline RunRecord run(unsigned number) {
  return {.id = run_id(number),
          .owner = "alice",
          .digest = digest_of(number),
          .promised = true,
          .surface = "images.generations",
          .requested_model = "flux",
          .served_model = "flux",
          .created = at(static_cast<int>(number)),
          .changed = at(static_cast<int>(number)),
          .expires = at(static_cast<int>(number) + 3600),
          .jobs = {{.endpoint = "fal-ai/flux/dev"}}};
}

/// One with every member.
inline RunRecord full_run() {
  RunRecord record = run(7);
  record.fence = 3;
  record.state = RunState::failed;
  record.key_hash = digest_of(77);
  record.promised = true;
  record.chance = 0.25;
  record.user = "carol";
  record.prompt = "a lighthouse at dusk";
  record.created += std::chrono::microseconds(123'457);
  record.jobs = {{.state = RunState::completed,
                  .endpoint = "fal-ai/flux/dev",
                  .request_id = "764cabcf-b745-4b3e-ae38-1200304cf45b",
                  .account = "b1946ac9",
                  .status_url = "https://queue.fal.run/s",
                  .response_url = "https://queue.fal.run/r",
                  .cancel_url = "https://queue.fal.run/c",
                  .submitted = at(8),
                  .expected_units = 0.0,
                  .billable_units = 1.5,
                  .held = Usd{25'000'000},
                  .held_on = 20'000,
                  .cost = Usd{37'500'000},
                  .input_mark = 0xFEDC'BA98'7654'3210},
                 {.state = RunState::failed,
                  .endpoint = "fal-ai/flux/dev",
                  .fault = RunFault{ErrorKind::content_policy, "Refused."}}};
  record.artifacts = {{.url = "https://v3.fal.media/files/a/b.png",
                       .content_type = "image/png",
                       .size = std::uint64_t{1} << 40,
                       .width = 1024,
                       .height = 768},
                      {.url = "https://v3.fal.media/files/a/c.mp4", .seconds = 5.25, .job = 0}};
  record.fault = RunFault{ErrorKind::timed_out, "It took too long."};
  record.details = R"({"seconds":"4"})";
  return record;
}

inline std::string numbers(const Result<std::vector<RunRecord>, StoreError>& found) {
  if (!found) return std::string(name_of(found.error().fault));
  std::string text;
  for (const RunRecord& record : *found) {
    unsigned number = 0;
    for (std::size_t i = 12; i < 16; ++i) number = number << 8 | record.id.bytes[i];
    text += (text.empty() ? "" : " ") + std::to_string(number);
  }
  return text;
}

inline StoreFault fault(const Result<Done, StoreError>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().fault;
}

inline void law_what_is_written_is_found_as_it_was(StateStore& store) {
  for (const RunRecord& record : {run(1), full_run()}) {
    REQUIRE(write(store, record).has_value());
    const auto found = find(store, RunQuery::of_id(record.id));
    REQUIRE(found.has_value());
    REQUIRE(found->size() == 1);
    CHECK(found->front() == record);
    CHECK(*pack(found->front()) == *pack(record));  // wording included
  }
  CHECK(numbers(find(store, RunQuery::of_id(run_id(99)))) == "");
}

inline void law_the_higher_fence_wins(StateStore& store) {
  RunRecord record = run(1);
  record.fence = 5;
  REQUIRE(write(store, record).has_value());
  REQUIRE(write(store, record).has_value());  // a repeat is there already

  RunRecord other = record;
  other.state = RunState::failed;
  const auto same = write(store, other);
  CHECK(fault(same) == StoreFault::outdated);
  CHECK_FALSE(same.error().may_be_done);
  CHECK(same.error().message.find("fence is 5") != std::string::npos);
  other.fence = 4;
  CHECK(fault(write(store, other)) == StoreFault::outdated);
  CHECK(find(store, RunQuery::of_id(record.id))->front() == record);

  other.fence = 6;
  REQUIRE(write(store, other).has_value());
  CHECK(fault(write(store, record)) == StoreFault::outdated);
  CHECK(find(store, RunQuery::of_id(record.id))->front() == other);
}

inline void law_ids_are_their_owners(StateStore& store) {
  REQUIRE(write(store, run(1)).has_value());
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1), "alice"))) == "1");
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1), "bob"))) == "");
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1)))) == "1");
}

inline void law_repeats_are_found_by_digest_and_key(StateStore& store) {
  for (const unsigned number : {1U, 2U, 3U}) {
    RunRecord record = run(number);
    record.digest = digest_of(500);
    if (number != 2) record.key_hash = digest_of(600);
    if (number == 3) record.owner = "bob";
    REQUIRE(write(store, record).has_value());
  }
  RunQuery query = RunQuery::of_digest("alice", digest_of(500));
  CHECK(numbers(find(store, query)) == "2");
  query.limit = 10;
  CHECK(numbers(find(store, query)) == "2 1");
  query.not_before = at(2);
  CHECK(numbers(find(store, query)) == "2");
  query.not_before = at(3);
  CHECK(numbers(find(store, query)) == "");
  CHECK(numbers(find(store, RunQuery::of_digest("bob", digest_of(500)))) == "3");
  CHECK(numbers(find(store, RunQuery::of_digest("carol", digest_of(500)))) == "");
  CHECK(numbers(find(store, RunQuery::of_digest("alice", digest_of(501)))) == "");
  CHECK(numbers(find(store, RunQuery::of_key("alice", digest_of(600)))) == "1");
  CHECK(numbers(find(store, RunQuery::of_key("bob", digest_of(600)))) == "3");
  CHECK(numbers(find(store, RunQuery::of_key("alice", digest_of(500)))) == "");

  // What half a digest has in common with another is not enough.
  Digest near = digest_of(500);
  near[31] ^= 1;
  CHECK(numbers(find(store, RunQuery::of_digest("alice", near))) == "");
}

// However many of its requests were refused before, or by a clock that was ahead.
inline void law_a_key_finds_what_holds_it(StateStore& store) {
  const RunQuery query = RunQuery::of_key("alice", digest_of(600));
  RunRecord held = run(1);
  held.key_hash = digest_of(600);
  REQUIRE(write(store, held).has_value());
  for (unsigned number = 2; number < 62; ++number) {
    RunRecord refused = run(number);
    refused.key_hash = digest_of(600);
    REQUIRE(write(store, refused).has_value());
    ++refused.fence;
    refused.state = refused.jobs.front().state = RunState::failed;
    REQUIRE(write(store, refused).has_value());
  }
  CHECK(numbers(find(store, query)) == "1");
  ++held.fence;
  held.state = held.jobs.front().state = RunState::failed;
  REQUIRE(write(store, held).has_value());
  CHECK(numbers(find(store, query)) == "");
  ++held.fence;
  held.jobs.front().request_id = "764cabcf";
  REQUIRE(write(store, held).has_value());
  CHECK(numbers(find(store, query)) == "1");
}

inline void law_what_a_run_is_found_by_never_changes(StateStore& store) {
  REQUIRE(write(store, run(1)).has_value());
  for (void (*change)(RunRecord&) :
       {+[](RunRecord& r) { r.owner = "bob"; }, +[](RunRecord& r) { r.digest = digest_of(9); },
        +[](RunRecord& r) { r.key_hash = digest_of(9); }, +[](RunRecord& r) { r.surface = "x"; },
        +[](RunRecord& r) { r.created += std::chrono::nanoseconds(1'000); }}) {
    RunRecord record = run(1);
    record.fence = 2;
    change(record);
    CHECK(fault(write(store, record)) == StoreFault::invalid);
  }
  CHECK(find(store, RunQuery::of_id(run_id(1)))->front() == run(1));
}

inline void law_only_what_is_promised_is_found_by_its_id(StateStore& store) {
  RunRecord record = run(1);
  record.promised = false;
  REQUIRE(write(store, record).has_value());
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1)))) == "");
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 10))) == "");
  CHECK(numbers(find(store, RunQuery::of_digest("alice", digest_of(1)))) == "1");
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "1");
  REQUIRE(erase(store, run_id(1)).has_value());
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "1");

  record.fence = 2;
  record.promised = true;
  record.expires = at(5);
  REQUIRE(write(store, record).has_value());
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1)))) == "1");
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 10))) == "1");
  record.promised = false;
  CHECK(fault(write(store, record)) == StoreFault::outdated);
  CHECK(forget(store, at(5)) == std::uint64_t{1});
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "");
}

inline void law_what_is_open_is_found_for_recovery(StateStore& store) {
  for (const unsigned number : {1U, 2U, 3U, 4U, 5U}) {
    RunRecord record = run(number);
    record.state = static_cast<RunState>(number - 1);
    if (number == 2) record.owner = "bob";
    REQUIRE(write(store, record).has_value());
  }
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "2 1");
  CHECK(store.status().open == 2);
  RunQuery of_alice = RunQuery::of_open(10);
  of_alice.owner = "alice";
  CHECK(numbers(find(store, of_alice)) == "1");
  RunQuery older = RunQuery::of_open(10);
  older.after = place_of(run(2));
  CHECK(numbers(find(store, older)) == "1");

  RunRecord ended = run(1);
  ended.fence = 2;
  ended.state = RunState::completed;
  REQUIRE(write(store, ended).has_value());
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "2");
  CHECK(store.status().open == 1);

  ended.fence = 3;
  ended.is_untold = true;
  REQUIRE(write(store, ended).has_value());
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "2 1");
  CHECK(find(store, RunQuery::of_open(10)).value().back().is_untold);
  CHECK(store.status().open == 2);
}

inline void law_lists_are_the_newest_first_and_go_on_after_a_place(StateStore& store) {
  for (const unsigned number : {3U, 1U, 4U, 2U, 5U, 6U, 7U}) {
    RunRecord record = run(number);
    if (number == 5) record.owner = "bob";
    if (number == 6 || number == 2) record.surface = "videos";
    if (number == 7) record.created = at(4);  // as old as 4, and with a greater id
    REQUIRE(write(store, record).has_value());
  }
  RunQuery query = RunQuery::of_owner("alice", 3);
  CHECK(numbers(find(store, query)) == "6 7 4");
  query.after = RunPlace{at(4), run_id(7)};
  CHECK(numbers(find(store, query)) == "4 3 2");
  query.after = place_of(run(2));
  CHECK(numbers(find(store, query)) == "1");
  query.after = RunPlace{at(3), run_id(99)};  // it need not be there
  CHECK(numbers(find(store, query)) == "3 2 1");

  RunQuery videos = RunQuery::of_owner("alice", 10);
  videos.surface = "videos";
  CHECK(numbers(find(store, videos)) == "6 2");
  videos.after = place_of(run(6));
  CHECK(numbers(find(store, videos)) == "2");
  videos.surface = "audio";
  CHECK(numbers(find(store, videos)) == "");
  RunQuery late = RunQuery::of_owner("alice", 10);
  late.not_before = at(4);
  CHECK(numbers(find(store, late)) == "6 7 4");

  RunQuery oldest = RunQuery::of_owner("alice", 3);
  oldest.oldest_first = true;
  CHECK(numbers(find(store, oldest)) == "1 2 3");
  oldest.after = place_of(run(3));
  CHECK(numbers(find(store, oldest)) == "4 7 6");
  oldest.after = RunPlace{at(4), run_id(4)};
  CHECK(numbers(find(store, oldest)) == "7 6");
  oldest.surface = "videos";
  oldest.after.reset();
  CHECK(numbers(find(store, oldest)) == "2 6");
}

inline void law_what_expired_is_forgotten_when_asked(StateStore& store) {
  for (const unsigned number : {1U, 2U, 3U}) REQUIRE(write(store, run(number)).has_value());
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1)))) == "1");  // nobody asked
  CHECK(forget(store, at(3600)) == std::uint64_t{0});
  CHECK(forget(store, at(3602)) == std::uint64_t{2});
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 10))) == "3");
  CHECK(store.status().open == 1);
  RunRecord longer = run(3);
  longer.fence = 2;
  longer.expires = at(20'000);
  REQUIRE(write(store, longer).has_value());
  CHECK(forget(store, at(9999)) == std::uint64_t{0});
  CHECK(forget(store, at(20'000)) == std::uint64_t{1});
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "");
}

inline void law_what_is_erased_is_gone(StateStore& store) {
  REQUIRE(write(store, run(1)).has_value());
  REQUIRE(write(store, run(2)).has_value());
  REQUIRE(erase(store, run_id(1)).has_value());
  REQUIRE(erase(store, run_id(1)).has_value());
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 10))) == "2");
  CHECK(numbers(find(store, RunQuery::of_digest("alice", digest_of(1)))) == "");
  CHECK(store.status().open == 1);
}

inline void law_what_is_late_is_not_begun(StateStore& store) {
  REQUIRE(write(store, run(1)).has_value());
  const TimePoint past = TimePoint::min();
  CHECK(fault(write(store, run(2), Durability::durable, past)) == StoreFault::timed_out);
  CHECK(fault(write(store, run(2), Durability::lazy, past)) == StoreFault::timed_out);
  const auto late = erase(store, run_id(1), past);
  CHECK(fault(late) == StoreFault::timed_out);
  CHECK_FALSE(late.error().may_be_done);
  CHECK(numbers(find(store, RunQuery::of_id(run_id(1)), past)) == "timed_out");
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 10))) == "1");
}

inline void law_what_is_too_large_or_senseless_is_refused(StateStore& store) {
  RunRecord record = run(1);
  record.details.assign(max_record_bytes, 'x');
  CHECK(fault(write(store, record)) == StoreFault::too_large);
  record = run(1);
  record.artifacts.assign(30, {.url = std::string(100, 'u')});
  CHECK(fault(write(store, record)) == StoreFault::too_large);
  for (void (*spoil)(RunRecord&) :
       {+[](RunRecord& r) { r.id = RunId(); }, +[](RunRecord& r) { r.owner.clear(); },
        +[](RunRecord& r) { r.fence = 0; }, +[](RunRecord& r) { r.fence = ~std::uint64_t{0}; },
        +[](RunRecord& r) { r.created -= std::chrono::hours(24 * 366 * 60); }}) {
    record = run(1);
    spoil(record);
    CHECK(fault(write(store, record)) == StoreFault::invalid);
  }
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 0))) == "invalid");
  CHECK(numbers(find(store, RunQuery::of_owner("alice", 1001))) == "invalid");
  CHECK(numbers(find(store, RunQuery::of_owner("", 1))) == "invalid");
  CHECK(numbers(find(store, RunQuery::of_open(10))) == "");
}

inline void law_each_callback_is_called_once_and_may_call_again(StateStore& store) {
  constexpr unsigned threads = 4, each = 50, all = threads * each;
  std::vector<Answer<Done>> writes(all);
  std::vector<Answer<std::vector<RunRecord>>> finds(all);
  std::vector<std::thread> writers;
  for (unsigned t = 0; t < threads; ++t) {
    writers.emplace_back([&, t] {
      for (unsigned i = t * each; i < (t + 1) * each; ++i) {
        const Durability durability = i % 3 == 0 ? Durability::durable : Durability::lazy;
        store.write(run(i + 1), durability, no_deadline,
                    [&, i, done = writes[i].callback()](Result<Done, StoreError> result) {
                      store.find(RunQuery::of_id(run_id(i + 1)), no_deadline, finds[i].callback());
                      done(std::move(result));
                    });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (unsigned i = 0; i < all; ++i) {
    CHECK(writes[i].wait().has_value());
    CHECK(numbers(finds[i].wait()) == std::to_string(i + 1));
  }
  for (unsigned i = 0; i < all; ++i) {
    CHECK(writes[i].calls() == 1);
    CHECK(finds[i].calls() == 1);
  }
  CHECK(store.status().waiting == 0);
  CHECK(store.status().written == all);
}

inline void law_writes_of_one_thread_keep_their_order(StateStore& store) {
  std::vector<Answer<Done>> answers(40);
  RunRecord record = run(1);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    record.fence = i + 1;
    store.write(record, i % 2 == 0 ? Durability::lazy : Durability::durable, no_deadline,
                answers[i].callback());
  }
  for (const Answer<Done>& answer : answers) CHECK(answer.wait().has_value());
  CHECK(find(store, RunQuery::of_id(run_id(1)))->front().fence == answers.size());
}

/// Each with a store of its own, as `with_store(law)` gives one.
template <class WithStore>
void check_store_laws(WithStore&& with_store) {
  struct Law {
    const char* name;
    void (*holds)(StateStore&);
  };
  for (const Law& law : {
           Law{"written is found", law_what_is_written_is_found_as_it_was},
           Law{"fences", law_the_higher_fence_wins},
           Law{"owners", law_ids_are_their_owners},
           Law{"repeats", law_repeats_are_found_by_digest_and_key},
           Law{"keys that are held", law_a_key_finds_what_holds_it},
           Law{"what stays", law_what_a_run_is_found_by_never_changes},
           Law{"promises", law_only_what_is_promised_is_found_by_its_id},
           Law{"recovery", law_what_is_open_is_found_for_recovery},
           Law{"lists", law_lists_are_the_newest_first_and_go_on_after_a_place},
           Law{"expiry", law_what_expired_is_forgotten_when_asked},
           Law{"erased", law_what_is_erased_is_gone},
           Law{"deadlines", law_what_is_late_is_not_begun},
           Law{"bounds", law_what_is_too_large_or_senseless_is_refused},
           Law{"callbacks", law_each_callback_is_called_once_and_may_call_again},
           Law{"order", law_writes_of_one_thread_keep_their_order},
       }) {
    CAPTURE(law.name);
    with_store(law.holds);
  }
}

}  // namespace falproxy::tests

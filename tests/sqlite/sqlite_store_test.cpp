#include "falproxy/sqlite_store.hpp"

#include <doctest/doctest.h>

#include "folder.hpp"
#include "support/store_laws.hpp"

using namespace falproxy;

TEST_CASE("a store in a file keeps to the laws of every store") {
  tests::check_store_laws([](void (*law)(StateStore&)) {
    const tests::Folder folder;
    const auto store = tests::opened(folder);
    law(*store);
  });
}

namespace {

// Lazy ones, which wait for each other.
std::vector<std::string> written_together(StateStore& store,
                                          const std::vector<RunRecord>& records) {
  std::vector<tests::Answer<Done>> answers(records.size());
  for (std::size_t i = 0; i < records.size(); ++i)
    store.write(records[i], Durability::lazy, no_deadline, answers[i].callback());
  std::vector<std::string> ends;
  for (const tests::Answer<Done>& answer : answers) {
    const Result<Done, StoreError> end = answer.wait();
    ends.emplace_back(end ? "done" : std::string(name_of(end.error().fault)));
  }
  return ends;
}

RunRecord step_of_run(std::uint64_t fence, const char* details) {
  RunRecord record = tests::run(1);
  record.fence = fence;
  record.details = details;
  record.state = fence > 3 ? RunState::completed : RunState::accepted;
  return record;
}

}  // namespace

TEST_CASE("what is written of a run while an earlier write of it waits, is written once") {
  const tests::Folder folder;
  const auto store = tests::opened(folder);
  using Ends = std::vector<std::string>;
  const RunRecord other = tests::run(2);
  CHECK(written_together(*store, {step_of_run(1, "a"), step_of_run(2, "b"), other,
                                  step_of_run(3, "c"), step_of_run(4, "d")}) ==
        Ends{"done", "done", "done", "done", "done"});
  const auto there = [&] { return tests::find(*store, RunQuery::of_id(tests::run_id(1)))->at(0); };
  CHECK(there() == step_of_run(4, "d"));
  CHECK(store->status().written == 5);
  CHECK(store->status().open == 1);
  // Who is behind is refused, though another goes on; who repeats itself is not.
  CHECK(written_together(*store, {step_of_run(3, "stale"), step_of_run(4, "stale"),
                                  step_of_run(5, "e"), step_of_run(6, "f")}) ==
        Ends{"outdated", "outdated", "done", "done"});
  CHECK(written_together(*store, {step_of_run(6, "f"), step_of_run(7, "g")}) ==
        Ends{"done", "done"});
  CHECK(written_together(*store, {step_of_run(8, "mine"), step_of_run(8, "another's"),
                                  step_of_run(9, "i")}) == Ends{"done", "outdated", "done"});
  CHECK(there() == step_of_run(9, "i"));
  // What belongs to another run of that id is none of this one's.
  RunRecord foreign = step_of_run(11, "k");
  foreign.owner = "bob";
  const Ends ends = written_together(*store, {step_of_run(10, "j"), foreign});
  CHECK(ends == Ends{"done", "invalid"});
  CHECK(there() == step_of_run(10, "j"));
}

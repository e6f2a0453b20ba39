// Compares what is made of real documents with answers that were written by hand, from reading.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "falproxy/profile.hpp"
#include "support/shared_documents.hpp"

using namespace falproxy;

namespace {

using Raw = nlohmann::json;

Raw read_answers() {
  std::ifstream file(std::string(FALPROXY_SOURCE_DIR) + "/tests/profile/answers.json");
  return Raw::parse(file, nullptr, false);
}

// {"either": [...]} stands for any of its elements; the order of a list of kinds does not matter.
bool agrees(const Raw& right, const Raw& made) {
  if (right.is_object() && right.contains("either")) {
    return std::ranges::any_of(right["either"], [&](const Raw& one) { return agrees(one, made); });
  }
  if (right.is_object() && made.is_object()) {
    return right.size() == made.size() &&
           std::ranges::all_of(right.items(), [&](const auto& member) {
             return made.contains(member.key()) && agrees(member.value(), made[member.key()]);
           });
  }
  if (right.is_array() && made.is_array() && right.size() == made.size()) {
    Raw left = made;
    return std::ranges::all_of(right, [&](const Raw& one) {
      const auto other =
          std::ranges::find_if(left, [&](const Raw& each) { return agrees(one, each); });
      const bool found = other != left.end();
      if (found) left.erase(other);
      return found;
    });
  }
  return right == made;
}

constexpr const char* compared[] = {"makes",  "text",    "guide",  "media",    "size",   "count",
                                    "seed",   "voice",   "speed",  "language", "format", "delivery",
                                    "length", "outputs", "beside", "times"};

}  // namespace

TEST_CASE("an answer that is not the right one does not agree") {
  const auto agree = [](const char* right, const char* made) {
    return agrees(Raw::parse(right), Raw::parse(made));
  };
  CHECK(agree(R"({"a": ["x", "y"]})", R"({"a": ["y", "x"]})"));
  CHECK(agree(R"({"either": ["x", "y"]})", R"("y")"));
  CHECK_FALSE(agree(R"({"either": ["x", "y"]})", R"("z")"));
  CHECK_FALSE(agree(R"(["x", "x"])", R"(["x", "y"])"));
  CHECK_FALSE(agree(R"(["x"])", R"(["x", "y"])"));
  CHECK_FALSE(agree(R"({"a": 1})", R"({"a": 1, "b": 2})"));
}

TEST_CASE("what is made of 80 real documents agrees with the answers that were written by hand") {
  const std::vector<shared_documents::Document> documents = shared_documents::read();
  const Raw answers = read_answers();
  REQUIRE(answers.is_object());
  REQUIRE(answers.size() > 80);
  for (const char* key : compared) {
    CAPTURE(key);
    CHECK(std::ranges::any_of(answers, [&](const Raw& one) { return one.contains(key); }));
  }
  if (documents.empty()) {
    MESSAGE("skipped: no documents");
    return;
  }
  std::size_t agreeing = 0;
  for (const shared_documents::Document& document : documents) {
    const auto profile = profile::read_profile(document.text);
    if (!profile || !answers.contains((*profile)->schema->endpoint)) continue;
    const std::string endpoint = (*profile)->schema->endpoint;
    const Raw made = Raw::parse(profile::to_json(**profile).dump());
    bool all = true;
    for (const char* key : compared) {
      const Raw right = answers[endpoint].value(key, Raw());
      const Raw own = made.value(key, Raw());
      CAPTURE(endpoint);
      CAPTURE(key);
      const bool same = agrees(right, own);
      CHECK_MESSAGE(same, "right: " << right.dump() << ", made: " << own.dump());
      all = all && same;
    }
    agreeing += all ? 1 : 0;
  }
  std::cout << agreeing << " of " << answers.size() - 1 << " documents agree\n";
  CHECK(agreeing == answers.size() - 1);
}

// Counts every word of the vocabulary in the real documents.
#include "profile/vocabulary.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "falproxy/schema.hpp"
#include "support/shared_documents.hpp"

using namespace falproxy;
using schema::Field;

namespace {

using Counted = std::set<std::string, std::less<>>;

// What stands in one document, by the group of vocabulary.json that speaks of it.
struct Standing {
  std::map<std::string, Counted, std::less<>> by_group;

  void read_inputs(const Field& field) {
    if (!field.name.empty()) {
      by_group["inputs"].insert(field.name);
      for_each_part(field.name, '_',
                    [&](std::string_view part) { by_group["words"].emplace(part); });
    }
    by_group["prose"].insert(to_lower(field.description));
    for (const Json& value : field.allowed) {
      if (const auto text = value.as_string()) read_value(*text);
    }
    for_each_inner(field, [&](const Field& inner) { read_inputs(inner); });
  }

  void read_outputs(const Field& field) {
    if (!field.name.empty()) {
      by_group["outputs"].insert(field.name);
      for_each_part(field.name, '_',
                    [&](std::string_view part) { by_group["words"].emplace(part); });
    }
    for_each_inner(field, [&](const Field& inner) { read_outputs(inner); });
  }

  [[nodiscard]] bool has(const std::string& group, const std::string& word) const {
    const auto found = by_group.find(group);
    if (found == by_group.end()) return false;
    if (group != "prose") return found->second.contains(word);
    return std::ranges::any_of(found->second, [&](const std::string& text) {
      return text.find(word) != std::string::npos;
    });
  }

 private:
  void read_value(std::string_view text) {
    std::string plain = to_lower(text);
    std::ranges::replace_if(plain, [](char c) { return c == '-' || c == '_'; }, ' ');
    by_group["values"].insert(plain);
    std::ranges::replace_if(plain, [](char c) { return !is_alnum(c); }, ' ');
    for_each_part(plain, ' ', [&](std::string_view part) { by_group["types"].emplace(part); });
  }

  template <class F>
  static void for_each_inner(const Field& field, F&& f) {
    for (const Field& inner : field.properties) f(inner);
    for (const Field& inner : field.branches) f(inner);
    if (field.items != nullptr) f(*field.items);
  }
};

}  // namespace

TEST_CASE("each word of the vocabulary says in how many documents it is seen, or why it is there") {
  std::vector<Standing> standing;
  const std::vector<shared_documents::Document> documents = shared_documents::read();
  for (const shared_documents::Document& document : documents) {
    const auto model = schema::analyze(document.text);
    if (!model) continue;
    Standing& one = standing.emplace_back();
    for (const Field& input : model->inputs) one.read_inputs(input);
    for (const Field& output : model->outputs) one.read_outputs(output);
  }
  CHECK(standing.size() + 2 >= documents.size());  // two of them have no queue
  if (standing.empty()) MESSAGE("not counted: no documents");
  std::string unseen;
  REQUIRE(profile::vocabulary().size() > 80);
  for (const profile::VocabularyList& list : profile::vocabulary()) {
    CAPTURE(list.name);
    CHECK(list.words.begin() != list.words.end());
    for (const profile::Word& word : list.words) {
      CAPTURE(list.group);
      CAPTURE(list.name);
      CAPTURE(word.text);
      CHECK((word.seen > 0) != !word.why.empty());
      if (word.seen == 0) unseen += "  " + list.name + ": " + word.text + " (" + word.why + ")\n";
      if (standing.empty()) continue;
      const auto seen = std::ranges::count_if(
          standing, [&](const Standing& one) { return one.has(list.group, word.text); });
      CHECK(word.seen == seen);
    }
  }
  std::cout << "seen in none of the documents:\n" << unseen;
}

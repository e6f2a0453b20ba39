#include "plan/read_transcript.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "json/access.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::plan {
namespace {

using Raw = nlohmann::json;

// A word of sentences that are made of words; see docs/mapping.md.
constexpr double longest_pause = 0.8;
constexpr double longest_sentence = 10;

const profile::Words& named(std::string_view list) { return profile::words("outputs", list); }

// The member that has one of these names; null: none has.
const Raw* find(const Raw& object, std::string_view list, std::string* name = nullptr) {
  for (const profile::Word& word : named(list)) {
    const Raw* member = member_of(object, word.text);
    if (member == nullptr) continue;
    if (name != nullptr) *name = word.text;
    return member;
  }
  return nullptr;
}

std::optional<double> number(const Raw* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const auto seconds = value->get<double>();
  return seconds >= 0 && seconds < 1e9 ? std::optional(seconds) : std::nullopt;
}

std::optional<double> seconds_in(const Raw& object, std::string_view list) {
  for (const profile::Word& word : named(list)) {
    if (const auto told = number(member_of(object, word.text))) {
      return profile::words("words", "milliseconds").any_in(word.text) ? *told / 1000 : *told;
    }
    if (const auto told = number(member_of(object, word.text + "_ms"))) return *told / 1000;
  }
  return std::nullopt;
}

std::string text_in(const Raw& object, std::string_view list) {
  const Raw* text = find(object, list);
  if (text != nullptr && text->is_array() && !text->empty()) text = &text->front();
  if (text == nullptr) return {};
  if (text->is_number_integer()) return std::to_string(text->get<std::int64_t>());
  return text->is_string() ? text->get<std::string>() : std::string();
}

enum class Piece { word, event, other };

Piece kind_of(const Raw& item) {
  const std::string type = text_of(item, "type");
  if (type.empty() || type == "word") return Piece::word;
  return type == "audio_event" ? Piece::event : Piece::other;
}

Utterance read_utterance(const Raw& item) {
  Utterance read{.text = text_in(item, "said"),
                 .start = seconds_in(item, "said.start"),
                 .end = seconds_in(item, "said.end"),
                 .speaker = text_in(item, "said.by")};
  const Raw* both = find(item, "said.both");
  if (both != nullptr && both->is_array() && both->size() == 2) {
    read.start = number(&(*both)[0]);
    read.end = number(&(*both)[1]);
  }
  return read;
}

// What begins later ends what has no end; whisper leaves the last one open.
void close(std::vector<Utterance>& all, std::optional<double> seconds) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].start.has_value()) all[i].start = i > 0 ? all[i - 1].end : std::optional(0.0);
    if (all[i].end.has_value()) continue;
    all[i].end = i + 1 < all.size() && all[i + 1].start.has_value() ? all[i + 1].start : seconds;
    if (!all[i].end.has_value() || *all[i].end < *all[i].start) all[i].end = all[i].start;
  }
}

bool ends_sentence(std::string_view text) {
  const std::string_view plain = trim(text);
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{".", "?", "!", "\u3002", "\uff1f", "\uff01"},
      [&](std::string_view end) { return plain.ends_with(end); });
}

// Of words, and of what stands between them.
std::vector<Utterance> sentences_of(const std::vector<Utterance>& pieces, bool spaced) {
  std::vector<Utterance> sentences;
  bool open = false;
  for (const Utterance& piece : pieces) {
    const bool blank = trim(piece.text).empty();
    if (open && !blank) {
      const Utterance& last = sentences.back();
      const double pause = piece.start.value_or(0) - last.end.value_or(0);
      const double length = piece.end.value_or(0) - last.start.value_or(0);
      if (pause > longest_pause || length > longest_sentence || piece.speaker != last.speaker ||
          ends_sentence(last.text))
        open = false;
    }
    if (!open) {
      if (blank) continue;
      sentences.push_back(piece);
      sentences.back().text = trim(piece.text);
      open = true;
      continue;
    }
    Utterance& last = sentences.back();
    const bool joined = !spaced && !is_blank(piece.text.empty() ? 'x' : piece.text.front());
    if (joined) last.text += ' ';
    last.text += piece.text;
    if (!blank) last.end = piece.end;
  }
  for (Utterance& sentence : sentences) sentence.text = trim(sentence.text);
  return sentences;
}

class Reader {
 public:
  Reader(const Raw& root, Times times) : root_(root), times_(times) {}

  Transcript read(const std::vector<std::string>& places) {
    const Raw* holder = &root_;
    for (const std::string& place : places) {
      if (read_.text.empty()) read_.text = text_at(root_, place, holder);
    }
    if (read_.text.empty()) read_.text = text_in(root_, "text");
    // Where the text stands within something, the rest of it does, too.
    for (const Raw* one : {holder, &root_}) {
      if (read_.language.empty()) read_.language = text_in(*one, "said.in");
      if (!read_.seconds.has_value()) read_.seconds = seconds_in(*one, "said.seconds");
      read_lists(*one);
      if (holder == &root_) break;
    }
    settle();
    return std::move(read_);
  }

 private:
  static std::string text_at(const Raw& value, std::string_view path, const Raw*& holder) {
    const Raw* at = &value;
    const Raw* around = at;
    for_each_part(path, '.', [&](std::string_view step) {
      if (at == nullptr) return;
      around = at;
      if (step.ends_with("[]")) step.remove_suffix(2);
      at = member_of(*at, step);
      if (at != nullptr && at->is_array()) at = at->empty() ? nullptr : &at->front();
    });
    if (at == nullptr || !at->is_string()) return {};
    holder = around;
    return at->get<std::string>();
  }

  void read_lists(const Raw& object) {
    for (const profile::Word& word : named("times")) {
      const Raw* list = member_of(object, word.text);
      if (list == nullptr || !list->is_array()) continue;
      const bool typed = std::ranges::any_of(
          *list, [](const Raw& item) { return !text_of(item, "type").empty(); });
      const bool of_words = word.text.starts_with("word") || times_ == Times::words;
      if (of_words && read_.words.empty()) {
        read_words(*list, typed);
      } else if (!of_words && read_.segments.empty()) {
        read_segments(*list);
      }
    }
  }

  void read_words(const Raw& list, bool typed) {
    spaced_ = typed;
    for (const Raw& item : list) {
      if (!item.is_object()) continue;
      Utterance one = read_utterance(item);
      if (kind_of(item) == Piece::word && !trim(one.text).empty()) {
        read_.words.push_back(one);
        read_.words.back().text = trim(one.text);
      }
      pieces_.push_back(std::move(one));
    }
  }

  // Words may stand within their sentence.
  void read_segments(const Raw& list) {
    for (const Raw& item : list) {
      if (!item.is_object()) continue;
      Utterance one = read_utterance(item);
      one.text = trim(one.text);
      if (!one.text.empty()) read_.segments.push_back(std::move(one));
      const Raw* words = member_of(item, "words");
      if (words == nullptr || !words->is_array()) continue;
      for (const Raw& word : *words) {
        Utterance inner = read_utterance(word);
        inner.text = trim(inner.text);
        if (!inner.text.empty()) read_.words.push_back(std::move(inner));
      }
    }
  }

  // Whole numbers far beyond the length of the sound are milliseconds.
  void settle_unit() {
    double last = 0;
    for (const auto* list : {&read_.segments, &read_.words, &pieces_}) {
      for (const Utterance& one : *list) last = std::max(last, one.end.value_or(0));
    }
    if (!read_.seconds.has_value() || last < 20 * (*read_.seconds + 1)) return;
    for (auto* list : {&read_.segments, &read_.words, &pieces_}) {
      for (Utterance& one : *list) {
        if (one.start.has_value()) *one.start /= 1000;
        if (one.end.has_value()) *one.end /= 1000;
      }
    }
  }

  void settle() {
    settle_unit();
    close(read_.segments, read_.seconds);
    close(read_.words, read_.seconds);
    close(pieces_, read_.seconds);
    if (read_.segments.empty()) read_.segments = sentences_of(pieces_, spaced_);
    if (read_.text.empty()) {
      for (const Utterance& segment : read_.segments)
        read_.text += (read_.text.empty() ? "" : " ") + segment.text;
    }
    if (!read_.seconds.has_value() && !read_.segments.empty())
      read_.seconds = read_.segments.back().end;
  }

  const Raw& root_;
  const Times times_;
  Transcript read_;
  std::vector<Utterance> pieces_;  // words, and what stands between them
  bool spaced_ = false;            // blanks are among them
};

}  // namespace

Result<Transcript> read_transcript(const std::string& body, const std::vector<std::string>& places,
                                   Times times) {
  const Result<Raw> root = parse_raw(body, {64, 4'000'000});
  if (!root)
    return Error{ErrorKind::upstream_failed, "fal's result is not JSON: " + root.error().message};
  const bool known = root->is_object() && (find(*root, "text") != nullptr || !places.empty());
  Transcript read = Reader(*root, times).read(places);
  // Silence is a result: nothing was said.
  if (read.text.empty() && read.segments.empty() && !known)
    return Error{ErrorKind::no_image, "The model finished, but its result holds no text."};
  return read;
}

}  // namespace falproxy::inline v0::plan

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "json/access.hpp"
#include "surfaces/talk/talk.hpp"

namespace falproxy::inline v0::openai {
namespace {

using Raw = nlohmann::json;
using Text = std::string_view;

constexpr std::int64_t fewest_tokens = 16;  // for an answer that anybody would read
constexpr Text plain_answer = "OK";

bool holds(Text text, Text phrase) noexcept { return text.find(phrase) != Text::npos; }

// What the user said last in a history that is written out, each line with its speaker.
std::string last_said(Text history) {
  std::string said;
  for_each_part(history, '\n', [&](Text line) {
    line = trim(line);
    for (const Text speaker : {"user:", "human:"}) {
      if (line.size() > speaker.size() &&
          equal_ignoring_case(line.substr(0, speaker.size()), speaker))
        said = trim(line.substr(speaker.size()));
    }
  });
  return said;
}

Text between(Text text, Text begin, Text end) noexcept {
  const std::size_t from = text.find(begin);
  if (from == Text::npos) return {};
  text.remove_prefix(from + begin.size());
  return text.substr(0, text.rfind(end));
}

std::string first_words(Text text) {
  constexpr int most_words = 5;
  constexpr std::size_t most_bytes = 80;
  std::string words;
  int n = 0;
  for_each_part(text, ' ', [&](Text word) {
    word = trim(word);
    if (word.empty() || ++n > most_words || words.size() + word.size() > most_bytes) return;
    if (!words.empty()) words += ' ';
    words += word;
  });
  return words.empty() ? "Picture" : words;
}

// The keys of Open WebUI's JSON answers: its prompts show one in an example.
constexpr std::array<std::pair<Text, Text>, 6> keys = {{{"title", "title"},
                                                        {"tags", "tags"},
                                                        {"follow_ups", "follow-ups"},
                                                        {"queries", "queries"},
                                                        {"prompt", "image prompt"},
                                                        {"text", "autocompletion"}}};

Chore json_chore(Text key, const std::string& said) {
  Raw answer = Raw::object();
  if (key == "title") answer[std::string(key)] = first_words(said);
  if (key == "tags") answer[std::string(key)] = {"General"};
  if (key == "follow_ups" || key == "queries") answer[std::string(key)] = Raw::array();
  if (key == "prompt") answer[std::string(key)] = said;
  if (key == "text") answer[std::string(key)] = "";
  const auto row = std::ranges::find(keys, key, &std::pair<Text, Text>::first);
  return {.kind = std::string(row->second), .answer = dump_raw(answer)};
}

// Which key the prompt's own example names first.
Text key_in(Text text) {
  std::size_t first = Text::npos;
  Text found;
  for (const auto& [key, kind] : keys) {
    const std::size_t at = text.find("\"" + std::string(key) + "\":");
    if (at < first) {
      first = at;
      found = key;
    }
  }
  return found;
}

std::optional<Chore> of_open_webui(Text words) {
  // A document in a context may show a history of its own.
  if (words.starts_with("### Task:") &&
      holds(words.substr(0, words.find("<context>")), "<chat_history>")) {
    const std::string said = last_said(between(words, "<chat_history>", "</chat_history>"));
    const Text before = words.substr(0, words.find("<chat_history>"));
    Text key = key_in(before);
    if (key.empty()) key = key_in(words);
    if (!key.empty()) return json_chore(key, said);
    return Chore{"task", std::string(plain_answer)};
  }
  if (words.starts_with("Your task is to reflect the speaker's likely facial expression"))
    return Chore{"emoji", "\xF0\x9F\x96\xBC\xEF\xB8\x8F"};
  if (words.starts_with("You have been provided with a set of responses"))
    return Chore{"merge", std::string(plain_answer)};
  return std::nullopt;
}

// `metadata.task` in Open WebUI's words.
std::optional<Chore> by_name(const Raw& members, Text words) {
  constexpr std::array<std::pair<Text, Text>, 7> tasks = {{{"title_generation", "title"},
                                                           {"tags_generation", "tags"},
                                                           {"follow_up_generation", "follow_ups"},
                                                           {"query_generation", "queries"},
                                                           {"image_prompt_generation", "prompt"},
                                                           {"autocomplete_generation", "text"},
                                                           {"emoji_generation", ""}}};
  const Raw* const metadata = member_of(members, "metadata");
  if (metadata == nullptr) return std::nullopt;
  const std::string task = text_of(*metadata, "task");
  if (task == "function_calling") return Chore{"tool choice", R"({"tool_calls":[]})"};
  if (task == "moa_response_generation") return Chore{"merge", std::string(plain_answer)};
  const auto row = std::ranges::find(tasks, Text(task), &std::pair<Text, Text>::first);
  if (row == tasks.end()) return std::nullopt;
  if (row->second.empty()) return Chore{"emoji", "\xF0\x9F\x96\xBC\xEF\xB8\x8F"};
  return json_chore(row->second, last_said(between(words, "<chat_history>", "</chat_history>")));
}

bool wants_json(const Raw& members) {
  const Raw* const format = member_of(members, "response_format");
  return format != nullptr && text_of(*format, "type").starts_with("json");
}

Chore title(const std::string& said, bool as_json) {
  const std::string words = first_words(said);
  if (!as_json) return {"title", words};
  return {"title", dump_raw(Raw{{"title", words}, {"language", "English"}})};
}

// Somebody may want the phrase drawn: it counts in what asks for a text.
bool asks_with(Text words, Text phrase) {
  if (!holds(words, phrase)) return false;
  constexpr std::array<Text, 5> beginnings = {"Please generate", "Provide", "Generate", "Write",
                                              "Create"};
  const auto begins = [&](Text beginning) { return words.starts_with(beginning); };
  return std::ranges::any_of(beginnings, begins) || holds(words, "title case") ||
         holds(words, "Title Case") || holds(words, "no punctuation");
}

// A title that a user message asks for, at the end of the talk or with the talk in it.
std::optional<Chore> of_titles(const Talk& talk, const Raw& members) {
  const Text words = talk.prompt;
  const bool asks = asks_with(words, "5-word-or-less title for the conversation") ||
                    asks_with(words, "four to five word title summarizing our conversation") ||
                    words.starts_with("Analyze this conversation and provide") ||
                    words.starts_with("Based on the chat history, give this conversation a name") ||
                    words.starts_with("Based on the chat history, give this conversation a title");
  if (!asks) return std::nullopt;
  std::string said = last_said(words);
  if (said.empty()) said = talk.before;
  return title(said, wants_json(members));
}

// A program's text says so at its start, and then that nothing else may be answered, or it comes
// with a history. A persona that somebody has given to a talk may begin with the same words.
bool is_program(const Talk& talk, Text system, Text phrase) {
  constexpr std::size_t start = 64;
  return system.substr(0, start).find(phrase) != Text::npos &&
         (holds(system, "utput ONLY") || holds(talk.prompt, "<chat_history>") ||
          !last_said(talk.prompt).empty());
}

// LobeChat's, some of them in Chinese whatever its user speaks: after the system text come examples
// of what is asked and answered, and then what is asked, in the same brackets.
std::optional<Chore> with_examples(const Talk& talk, Text system) {
  struct Row {
    Text begins, asked_begins, asked_ends;
    const char* kind;
    const char* answer;  // null: the first words of what is asked
  };
  constexpr std::array<Row, 5> rows = {
      {{"\u4f60\u662f\u4e00\u540d\u64c5\u957f\u4f1a\u8bdd\u6807\u7b7e\u603b\u7ed3\u7684\u52a9"
        "\u7406",
        "\u8f93\u5165: {", "]", "tags", "General"},
       {"\u4f60\u662f\u4e00\u540d\u64c5\u957f\u8d77\u540d\u7684\u8d77\u540d\u5927\u5e08",
        "\u8f93\u5165: {", "]", "name", nullptr},
       {"\u4f60\u662f\u4e00\u540d\u64c5\u957f\u6280\u80fd\u603b\u7ed3\u7684\u52a9\u7406",
        "\u8f93\u5165: {", "]", "description", nullptr},
       {"\u4f60\u662f\u4e00\u540d\u7cbe\u901a\u5168\u4e16\u754c\u8bed\u8a00\u7684\u8bed\u8a00\u4e13"
        "\u5bb6",
        "{", "}", "language", "en-US"},
       {"\u4f60\u662f\u4e00\u4f4d\u8d44\u6df1\u7684 AI "
        "\u827a\u672f\u521b\u4f5c\u8005\u548c\u8bed\u8a00\u5927\u5e08",
        "\u63d0\u793a\u8bcd\uff1a", "", "title", nullptr}}};
  if (system.starts_with("You are an emoji expert who selects") &&
      holds(system, "Output ONLY a single emoji"))
    return Chore{"emoji", "\xF0\x9F\x96\xBC\xEF\xB8\x8F"};
  const Text asked = talk.prompt;
  // What to look up in somebody's documents, before the turn itself.
  constexpr Text follow_up = "Follow Up Input: ", ending = ", it's standalone query:";
  if (holds(system, "<chatHistory>") && asked.starts_with(follow_up) &&
      trim(asked).ends_with(ending))
    return Chore{"query", std::string(cut(between(asked, follow_up, ending), 2000))};
  const auto row = std::ranges::find_if(rows, [&](const Row& one) {
    return system.starts_with(one.begins) && asked.starts_with(one.asked_begins) &&
           trim(asked).ends_with(one.asked_ends);
  });
  if (row == rows.end()) return std::nullopt;
  if (row->answer != nullptr) return Chore{row->kind, row->answer};
  const Text words = asked.substr(row->asked_begins.size());
  return Chore{row->kind, first_words(words.substr(0, words.rfind('}')))};
}

// What a program asks by a system text of its own.
std::optional<Chore> of_systems(const Talk& talk, const Raw& members) {
  for (const Text system : talk.systems) {
    if (system.starts_with("Available Tools:")) return Chore{"tool choice", R"({"tool_calls":[]})"};
    if (talk.ends_with_system && system.starts_with("Summarize the discussion briefly"))
      return Chore{"summary", std::string(plain_answer)};
    if (holds(system, "conversation into a title within 10 words"))
      return title(last_said(talk.prompt).empty() ? talk.prompt : last_said(talk.prompt),
                   wants_json(members));
    if (auto chore = with_examples(talk, system)) return chore;
    if (talk.answers > 0 || talk.users > 1) continue;
    if (is_program(talk, system, "conversation summarizer"))
      return title(last_said(talk.prompt).empty() ? talk.prompt : last_said(talk.prompt),
                   wants_json(members));
    if (is_program(talk, system, "professional translator") ||
        is_program(talk, system, "summarization expert") ||
        is_program(talk, system, "good at extracting key takeaways"))
      return Chore{"text", std::string(cut(talk.prompt, 2000))};
  }
  return std::nullopt;
}

std::optional<Chore> of_connection_tests(const Raw& members) {
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_output_tokens"}) {
    const Raw* const most = member_of(members, name);
    const std::optional<std::int64_t> tokens = most == nullptr ? std::nullopt : as_integer(*most);
    if (tokens && *tokens >= 1 && *tokens <= fewest_tokens)
      return Chore{"connection test", std::string(plain_answer)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Chore> find_chore(const Talk& talk, const Raw& members) {
  if (auto chore = by_name(members, talk.prompt)) return chore;
  if (auto chore = of_open_webui(talk.prompt)) return chore;
  if (auto chore = of_titles(talk, members)) return chore;
  if (auto chore = of_systems(talk, members)) return chore;
  return of_connection_tests(members);
}

}  // namespace falproxy::inline v0::openai

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai_audio.hpp"
#include "wish/languages.hpp"

namespace falproxy::inline v0::openai {
namespace {

using Ordered = nlohmann::ordered_json;

std::string dump(const Ordered& value) {
  return value.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

// As OpenAI writes them: lines `data:` alone, and CRLF.
std::string event(const Ordered& value) { return "data: " + dump(value) + "\r\n\r\n"; }

double rounded(std::optional<double> seconds) {
  return std::round(seconds.value_or(0) * 1000) / 1000;
}

double seconds_of(const Transcript& transcript, const TranscriptRequest& request) {
  if (transcript.seconds) return rounded(transcript.seconds);
  return rounded(request.seconds);
}

Ordered usage_of(const Transcript& transcript, const TranscriptRequest& request) {
  return {{"type", "duration"},
          {"seconds", static_cast<std::int64_t>(std::ceil(seconds_of(transcript, request)))}};
}

// The English name, as OpenAI tells it.
std::string language_of(const Transcript& transcript, const TranscriptRequest& request) {
  if (request.wish.translate) return "english";
  const std::string& told = !transcript.language.empty()
                                ? transcript.language
                                : request.wish.language.value_or("unknown");
  const Language* known = find_language(told);
  return known == nullptr ? to_lower(told) : std::string(known->name);
}

// "00:01:02,500"
std::string clock_time(double seconds, char point) {
  const auto ms = static_cast<std::int64_t>(std::llround(seconds * 1000));
  return fmt::format("{:02}:{:02}:{:02}{}{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60,
                     point, ms % 1000);
}

// A blank line would end it too early.
std::string on_lines(std::string_view text) {
  std::string lines;
  for_each_part(text, '\n', [&](std::string_view line) {
    if (trim(line).empty()) return;
    lines.append(lines.empty() ? "" : "\n").append(trim(line));
  });
  return lines;
}

// When a subtitle goes; if nobody says, with the next one, or after a while.
double end_of(const std::vector<Utterance>& segments, std::size_t place, double start) {
  constexpr double while_read = 3;
  if (segments[place].end.has_value()) return std::max(*segments[place].end, start);
  const bool has_next = place + 1 < segments.size() && segments[place + 1].start.has_value();
  const double next = has_next ? *segments[place + 1].start : start + while_read;
  return std::max(next, start);
}

std::string subtitles(const Transcript& transcript, bool srt) {
  std::string text = srt ? "" : "WEBVTT\n\n";
  std::size_t number = 0;
  const char point = srt ? ',' : '.';
  double start = 0;
  for (const Utterance& segment : transcript.segments) {
    start = segment.start.value_or(start);
    const double end = end_of(transcript.segments, number, start);
    ++number;
    if (srt) text += fmt::format("{}\n", number);
    text += fmt::format("{} --> {}\n{}\n\n", clock_time(start, point), clock_time(end, point),
                        on_lines(segment.text));
  }
  return text;
}

Ordered verbose(const Transcript& transcript, const TranscriptRequest& request) {
  Ordered body = {{"task", request.wish.translate ? "translate" : "transcribe"},
                  {"language", language_of(transcript, request)},
                  {"duration", seconds_of(transcript, request)},
                  {"text", transcript.text}};
  // If a model tells no words, there are none, rather than an empty list of them.
  if (request.words && (!transcript.words.empty() || transcript.text.empty())) {
    Ordered words = Ordered::array();
    for (const Utterance& word : transcript.words)
      words.push_back(
          {{"word", word.text}, {"start", rounded(word.start)}, {"end", rounded(word.end)}});
    body["words"] = std::move(words);
  }
  if (request.segments) {
    Ordered segments = Ordered::array();
    for (const Utterance& segment : transcript.segments) {
      // What Whisper tells beside it is a zero here: typed clients demand all of it.
      segments.push_back({{"id", segments.size()},
                          {"seek", 0},
                          {"start", rounded(segment.start)},
                          {"end", rounded(segment.end)},
                          {"text", segment.text},
                          {"tokens", Ordered::array()},
                          {"temperature", 0},
                          {"avg_logprob", 0},
                          {"compression_ratio", 0},
                          {"no_speech_prob", 0}});
    }
    body["segments"] = std::move(segments);
  }
  body["usage"] = usage_of(transcript, request);
  return body;
}

// What one speaker says without a break, as "A", "B", ...
std::vector<Utterance> turns_of(const Transcript& transcript) {
  std::map<std::string, std::string> names;
  std::vector<Utterance> turns;
  for (const Utterance& segment : transcript.segments) {
    const std::size_t number = names.size();
    const auto [name, is_new] = names.try_emplace(segment.speaker);
    if (is_new)
      name->second = number < 26 ? std::string(1, static_cast<char>('A' + number))
                                 : fmt::format("S{}", number + 1);
    if (!turns.empty() && turns.back().speaker == name->second) {
      turns.back().text += " " + segment.text;
      turns.back().end = segment.end;
      continue;
    }
    turns.push_back({segment.text, segment.start, segment.end, name->second});
  }
  return turns;
}

Ordered diarized_segment(const Utterance& turn, std::size_t number) {
  return {{"type", "transcript.text.segment"}, {"id", fmt::format("seg_{}", number)},
          {"start", rounded(turn.start)},      {"end", rounded(turn.end)},
          {"speaker", turn.speaker},           {"text", turn.text}};
}

Ordered diarized(const Transcript& transcript, const TranscriptRequest& request) {
  Ordered segments = Ordered::array();
  for (const Utterance& turn : turns_of(transcript))
    segments.push_back(diarized_segment(turn, segments.size() + 1));
  return {{"task", "transcribe"},
          {"duration", seconds_of(transcript, request)},
          {"text", transcript.text},
          {"segments", std::move(segments)},
          {"usage", usage_of(transcript, request)}};
}

// The text, cut where its segments end.
std::vector<std::string_view> pieces_of(const Transcript& transcript) {
  std::vector<std::string_view> pieces;
  const std::string_view text = transcript.text;
  std::size_t begin = 0;
  for (const Utterance& segment : transcript.segments) {
    const std::size_t found = text.find(trim(segment.text), begin);
    if (found == std::string_view::npos || trim(segment.text).empty()) continue;
    const std::size_t end = found + trim(segment.text).size();
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  if (begin < text.size()) pieces.push_back(text.substr(begin));
  return pieces;
}

}  // namespace

std::string_view name_of(TranscriptFormat value) noexcept {
  constexpr std::array<std::string_view, 6> names = {"json", "text",         "srt",
                                                     "vtt",  "verbose_json", "diarized_json"};
  return names.at(static_cast<std::size_t>(value));
}

std::string_view content_type_of(TranscriptFormat format) noexcept {
  switch (format) {
    case TranscriptFormat::text:
    case TranscriptFormat::srt:
      return "text/plain; charset=utf-8";
    case TranscriptFormat::vtt:
      return "text/vtt; charset=utf-8";
    default:
      return "application/json";
  }
}

std::string write(const Transcript& transcript, const TranscriptRequest& request) {
  switch (request.format) {
    case TranscriptFormat::text:
      return transcript.text + "\n";
    case TranscriptFormat::srt:
      return subtitles(transcript, true);
    case TranscriptFormat::vtt:
      return subtitles(transcript, false);
    case TranscriptFormat::verbose_json:
      return dump(verbose(transcript, request));
    case TranscriptFormat::diarized_json:
      return dump(diarized(transcript, request));
    case TranscriptFormat::json:
      break;
  }
  return dump({{"text", transcript.text}, {"usage", usage_of(transcript, request)}});
}

std::string write_events(const Transcript& transcript, const TranscriptRequest& request) {
  std::string events;
  for (const std::string_view piece : pieces_of(transcript))
    events += event({{"type", "transcript.text.delta"}, {"delta", piece}});
  if (request.format == TranscriptFormat::diarized_json) {
    std::size_t number = 0;
    for (const Utterance& turn : turns_of(transcript))
      events += event(diarized_segment(turn, ++number));
  }
  return events + event({{"type", "transcript.text.done"},
                         {"text", transcript.text},
                         {"usage", usage_of(transcript, request)}});
}

std::string write_speech_delta(std::string_view base64) {
  // Base64 needs no escapes.
  return std::string("data: {\"type\":\"speech.audio.delta\",\"audio\":\"")
      .append(base64)
      .append("\"}\r\n\r\n");
}

std::string write_speech_end() {
  return event({{"type", "speech.audio.done"},
                {"usage", {{"input_tokens", 0}, {"output_tokens", 0}, {"total_tokens", 0}}}});
}

std::string write_voices(const std::vector<Voice>& voices) {
  Ordered list = Ordered::array();
  for (const Voice& voice : voices)
    list.push_back({{"id", voice.id}, {"name", voice.id}, {"model", voice.model}});
  return dump({{"voices", std::move(list)}});
}

std::string write_audio_models(const std::vector<std::string>& models) {
  Ordered list = Ordered::array();
  for (const std::string& model : models) list.push_back({{"id", model}, {"name", model}});
  return dump({{"models", std::move(list)}, {"object", "list"}});
}

}  // namespace falproxy::inline v0::openai

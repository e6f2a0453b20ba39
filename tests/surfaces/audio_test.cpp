// OpenAI's audio API: requests read, answers written.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/openai_audio.hpp"

using namespace falproxy;
using namespace falproxy::openai;

namespace {

FormPart audio_part(std::string name, std::string bytes, std::optional<std::string> file = {}) {
  FormPart part{.name = std::move(name),
                .file_name = std::move(file),
                .content_type = {},
                .owner = nullptr,
                .bytes = {}};
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  part.bytes = *owner;
  part.owner = std::move(owner);
  return part;
}

Result<TranscriptRequest> hear_form(std::vector<std::pair<std::string, std::string>> fields,
                                    bool translate = false) {
  std::vector<FormPart> parts{audio_part("file", "ID3....", "blob"), audio_part("model", "ear")};
  for (auto& [name, value] : fields) parts.push_back(audio_part(name, value));
  return parse_transcript(translate, std::move(parts), {});
}

}  // namespace

TEST_CASE("a request for speech is read with its own fields and the model's") {
  const auto read = parse_speech(
      R"({"model":"m","input":"hi","voice":{"id":"v1"},"instructions":" None ","speed":1.5,
          "response_format":"MP3","stream_format":"sse","stability":0.5,"user":null})",
      {});
  REQUIRE(read);
  CHECK(read->events);
  CHECK(read->wish.makes == Medium::audio);
  CHECK(read->wish.prompt == "hi");
  CHECK(read->wish.voice == "v1");
  CHECK_FALSE(read->wish.instructions);
  CHECK(read->wish.speed == 1.5);
  CHECK(read->wish.output_format == "mp3");
  CHECK(read->wish.native.size() == 1);
  struct Case {
    std::string_view body, field;
    ErrorKind kind;
  };
  for (const Case& c : std::vector<Case>{
           {"", "", ErrorKind::invalid_json},
           {"[]", "", ErrorKind::invalid_json},
           {R"({"input":"a"})", "model", ErrorKind::missing_parameter},
           {R"({"model":"m"})", "input", ErrorKind::missing_parameter},
           {R"({"model":"m","input":"  "})", "input", ErrorKind::missing_parameter},
           {R"({"model":"m","input":7})", "input", ErrorKind::invalid_type},
           {R"({"model":"m","input":"a","speed":"1"})", "speed", ErrorKind::invalid_type},
           {R"({"model":"m","input":"a","speed":0.2})", "speed", ErrorKind::invalid_value},
           {R"({"model":"m","input":"a","voice":7})", "voice", ErrorKind::invalid_type},
           {R"({"model":"m","input":"a","stream_format":"x"})", "stream_format",
            ErrorKind::invalid_value},
           {R"({"model":"m","input":"a\u0000"})", "input", ErrorKind::invalid_value},
       }) {
    CAPTURE(c.body);
    const auto refused = parse_speech(c.body, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == c.kind);
    CHECK(refused.error().field == c.field);
  }
}

TEST_CASE("a form for a transcript is read as SDKs and scripts write it") {
  const auto plain = hear_form({{"temperature", "0"}, {"language", "en"}, {"beam", "5"}});
  REQUIRE(plain);
  CHECK(plain->format == TranscriptFormat::json);
  CHECK(plain->wish.times == Times::none);
  CHECK(plain->wish.images.at(0).medium == Medium::audio);
  CHECK(plain->wish.native.size() == 1);
  CHECK(plain->wish.native_texts.size() == 1);
  for (const auto& fields : std::vector<std::vector<std::pair<std::string, std::string>>>{
           {{"timestamp_granularities[]", "word"}, {"timestamp_granularities[]", "segment"}},
           {{"timestamp_granularities", "word,segment"}}}) {
    auto all = fields;
    all.emplace_back("response_format", "verbose_json");
    const auto read = hear_form(all);
    REQUIRE(read);
    CHECK(read->words);
    CHECK(read->segments);
    CHECK(read->wish.times == Times::words);
    CHECK_FALSE(read->wish.needs_times);
  }
  CHECK(hear_form({{"response_format", "srt"}})->wish.needs_times);
  CHECK(hear_form({{"response_format", "diarized_json"}})->wish.speakers);
  CHECK(hear_form({}, true)->wish.translate);
  CHECK(hear_form({{"response_format", "xml"}}).error().field == "response_format");
  CHECK(hear_form({{"response_format", "diarized_json"}}, true).error().field == "response_format");
  CHECK(parse_transcript(false, {audio_part("model", "m")}, {}).error().field == "file");
  CHECK(parse_transcript(false, {audio_part("file", "ID3", "a")}, {}).error().field == "model");
  CHECK(parse_transcript(false, {audio_part("model", "m"), audio_part("file", "text", "a.mp3")}, {})
            .error()
            .kind == ErrorKind::unsupported_file);
  const auto address = parse_transcript(
      false, {audio_part("model", "m"), audio_part("file", "https://example.org/a.mp3")}, {});
  REQUIRE(address);
  CHECK(address->wish.images.at(0).url == "https://example.org/a.mp3");
}

TEST_CASE("transcripts without times are answered all the same") {
  TranscriptRequest asked{.format = TranscriptFormat::verbose_json, .segments = true};
  asked.wish.language = "de";
  asked.seconds = 2.25;
  CHECK(write(Transcript{.text = "Hallo"}, asked) ==
        R"({"task":"transcribe","language":"german","duration":2.25,"text":"Hallo","segments":[],)"
        R"("usage":{"type":"duration","seconds":3}})");
  // Words that were asked for and that nobody tells are left out.
  asked.words = true;
  CHECK(write(Transcript{.text = "Hallo"}, asked).find("words") == std::string::npos);
  CHECK(write(Transcript{}, {}) == R"({"text":"","usage":{"type":"duration","seconds":0}})");
  CHECK(write_events(Transcript{.text = "Hallo"}, {})
            .starts_with("data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hallo\"}\r\n\r\n"));
}

TEST_CASE("subtitles hold no blank line, and count hours") {
  const Transcript transcript{
      .text = "a", .segments = {{"a\n\nb", 3599.9994, 3600.5}, {"c", 7200, std::nullopt}}};
  TranscriptRequest asked{.format = TranscriptFormat::srt};
  CHECK(write(transcript, asked) ==
        "1\n00:59:59,999 --> 01:00:00,500\na\nb\n\n2\n02:00:00,000 --> 02:00:03,000\nc\n\n");
}

TEST_CASE("turns of one speaker are joined, and speakers named in order") {
  const Transcript transcript{
      .text = "a b c d",
      .segments = {{"a", 0, 1, "x9"}, {"b", 1, 2, "x9"}, {"c", 2, 3, "x1"}, {"d", 3, 4, "x9"}}};
  const std::string body =
      write(transcript, TranscriptRequest{.format = TranscriptFormat::diarized_json});
  CHECK(body.find(R"("id":"seg_1","start":0.0,"end":2.0,"speaker":"A","text":"a b")") !=
        std::string::npos);
  CHECK(body.find(R"("speaker":"B","text":"c")") != std::string::npos);
  CHECK(body.find(R"("id":"seg_3","start":3.0,"end":4.0,"speaker":"A")") != std::string::npos);
}

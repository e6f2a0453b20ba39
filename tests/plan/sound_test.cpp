// Speech onto what models have for it.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/wav.hpp"
#include "plan/models.hpp"
#include "support/memory_spools.hpp"
#include "support/model_documents.hpp"

using namespace falproxy;

namespace {

using models::has_note;
using models::note;

// A model that makes sound, with these inputs beside `text`.
profile::Profile speaker(
    const std::string& inputs,
    const std::string& text = R"("text": {"type": "string", "maxLength": 40})",
    const std::string& output =
        R"({"audio":{"type":"object","properties":{"url":{"type":"string"}}}})") {
  const std::string properties = "{" + text + (inputs.empty() ? "" : ", ") + inputs + "}";
  auto document =
      nlohmann::json::parse(testing::model_document("fal-ai/speaks", properties, output));
  document["info"]["x-fal-metadata"]["category"] = "text-to-speech";
  document["components"]["schemas"]["ModelInput"]["required"] = nlohmann::json::array({"text"});
  for (const auto& [name, property] :
       document["components"]["schemas"]["ModelInput"]["properties"].items()) {
    if (property.contains("must"))
      document["components"]["schemas"]["ModelInput"]["required"].push_back(name);
  }
  const auto made = profile::read_profile(document.dump());
  REQUIRE(made);
  return **made;
}

profile::Profile listener(const std::string& inputs, const std::string& outputs) {
  auto document = nlohmann::json::parse(testing::model_document(
      "fal-ai/hears",
      R"({"audio_url": {"type": "string"})" + (inputs.empty() ? "" : ", " + inputs) + "}",
      outputs));
  document["info"]["x-fal-metadata"]["category"] = "speech-to-text";
  document["components"]["schemas"]["ModelInput"]["required"] =
      nlohmann::json::array({"audio_url"});
  const auto made = profile::read_profile(document.dump());
  REQUIRE(made);
  return **made;
}

Wish speech(std::string text = "Good morning") {
  return {.makes = Medium::audio, .model = "m", .prompt = std::move(text)};
}
Wish hearing() {
  Wish wish{.makes = Medium::text, .model = "m"};
  wish.images.push_back({.url = "https://example.org/a.wav", .medium = Medium::audio});
  return wish;
}
plan::Plan sound_plan(const Wish& wish, const profile::Profile& profile) {
  auto made = plan::make_plan(wish, profile, {}, {});
  if (!made) FAIL(made.error().message);
  return *std::move(made);
}
Error refusal(const Wish& wish, const profile::Profile& profile) {
  const auto made = plan::make_plan(wish, profile, {}, {});
  REQUIRE_FALSE(made);
  return made.error();
}
std::string body_of(const plan::Plan& plan) { return plan.jobs.at(0).input.dump(); }

const std::string few_voices =
    R"("voice": {"type": "string", "enum": ["af_heart", "af_alloy", "am_echo"]})";

}  // namespace

TEST_CASE("a voice is sent as the model spells it, and OpenAI's names are never refused") {
  struct Case {
    std::string voice, inputs, want;
  };
  for (const Case& c : std::vector<Case>{
           {"AF_Heart", few_voices, R"({"text":"Good morning","voice":"af_heart"})"},
           {"alloy", few_voices, R"({"text":"Good morning","voice":"af_alloy"})"},
           {"nova", few_voices, R"({"text":"Good morning"})"},
           {"nova", R"("voice": {"type": "string", "enum": ["a", "b"], "default": "b"})",
            R"({"text":"Good morning"})"},
           {"nova", R"("voice": {"type": "string", "enum": ["a", "b"], "must": true})",
            R"({"text":"Good morning","voice":"a"})"},
           {"", R"("voice": {"type": "string", "enum": ["a", "b"], "must": true})",
            R"({"text":"Good morning","voice":"a"})"},
           {"cloned-7", R"("voice": {"type": "string", "examples": ["Aria"]})",
            R"({"text":"Good morning","voice":"cloned-7"})"},
           {"alloy", R"("voice": {"type": "string", "examples": ["Aria"], "default": "Aria"})",
            R"({"text":"Good morning"})"},
           {"Aria",
            R"("voice_setting": {"type": "object", "default": {"speed": 1, "voice_id": "Wise"},
             "properties": {"voice_id": {"type": "string", "default": "Wise"}, "speed": {"type": "number"}}})",
            R"({"text":"Good morning","voice_setting":{"speed":1,"voice_id":"Aria"}})"},
           {"alloy", "", R"({"text":"Good morning"})"},
       }) {
    CAPTURE(c.voice);
    CAPTURE(c.inputs);
    Wish wish = speech();
    if (!c.voice.empty()) wish.voice = c.voice;
    const plan::Plan plan = sound_plan(wish, speaker(c.inputs));
    CHECK(body_of(plan) == c.want);
    const bool as_asked =
        plan.jobs.at(0).input.dump().find('"' + c.voice + '"') != std::string::npos;
    CHECK(has_note(plan, "voice") != (as_asked || c.voice == "AF_Heart"));
  }
  Wish wish = speech();
  wish.voice = "nobody";
  const Error error = refusal(wish, speaker(few_voices));
  CHECK(error.field == "voice");
  CHECK(error.message.find("'af_heart'") != std::string::npos);
}

TEST_CASE("speed is brought within the model's bounds, and told") {
  const auto model = speaker(R"("voice_speed": {"type": "number", "minimum": 0.8, "maximum": 2})");
  Wish wish = speech();
  wish.speed = 4;
  const plan::Plan plan = sound_plan(wish, model);
  CHECK(body_of(plan) == R"({"text":"Good morning","voice_speed":2.0})");
  CHECK(note(plan, "speed").find("4 became 2") != std::string::npos);
  wish.speed = 1.5;
  CHECK(body_of(sound_plan(wish, model)) == R"({"text":"Good morning","voice_speed":1.5})");
  CHECK_FALSE(has_note(sound_plan(wish, model), "speed"));
  CHECK(has_note(sound_plan(wish, speaker("")), "speed", "dropped"));
  const auto percent =
      speaker(R"("speech_rate": {"type": "integer", "minimum": -50, "maximum": 100})");
  CHECK(body_of(sound_plan(wish, percent)) == R"({"speech_rate":50,"text":"Good morning"})");
}

TEST_CASE("instructions go to the prompt beside the text") {
  Wish wish = speech();
  wish.instructions = "cheerfully";
  CHECK(body_of(sound_plan(wish, speaker(R"("prompt": {"type": "string"})"))) ==
        R"({"prompt":"cheerfully","text":"Good morning"})");
  CHECK(has_note(sound_plan(wish, speaker("")), "instructions", "dropped"));
  CHECK(refusal(speech(), speaker(R"("prompt": {"type": "string", "must": true})")).field ==
        "instructions");
}

TEST_CASE("a text that is too long is refused on input") {
  const Error error = refusal(speech(std::string(41, 'a')), speaker(""));
  CHECK(error.field == "input");
  CHECK(error.kind == ErrorKind::invalid_value);
}

TEST_CASE("a format is asked of the model if it offers it, and refused if nothing makes it") {
  const std::string elevenlabs = R"("output_format": {"type": "string", "default": "mp3_44100_128",
    "enum": ["mp3_22050_32", "mp3_44100_128", "pcm_16000", "pcm_24000", "opus_48000_32"]})";
  const std::string minimax = R"("audio_setting": {"type": "object", "properties": {
    "format": {"type": "string", "enum": ["mp3", "pcm", "flac"], "default": "mp3"},
    "sample_rate": {"type": "integer", "enum": [16000, 24000, 32000], "default": 32000}}},
    "output_format": {"type": "string", "enum": ["url", "hex"], "default": "hex"})";
  const std::string wav_first =
      R"("output_format": {"type": "string", "enum": ["wav", "mp3"], "default": "wav"})";
  struct Case {
    std::string format, inputs, want;
  };
  for (const Case& c : std::vector<Case>{
           {"", elevenlabs, "{}"},
           {"mp3", elevenlabs, R"({"output_format":"mp3_44100_128"})"},
           {"pcm", elevenlabs, R"({"output_format":"pcm_24000"})"},
           {"wav", elevenlabs, R"({"output_format":"pcm_24000"})"},
           {"opus", elevenlabs, R"({"output_format":"opus_48000_32"})"},
           {"mp3_22050_32", elevenlabs, R"({"output_format":"mp3_22050_32"})"},
           {"aac", elevenlabs, "'mp3', 'opus', 'wav', 'pcm'"},
           {"", minimax, R"({"output_format":"url"})"},
           {"flac", minimax, R"({"audio_setting":{"format":"flac"},"output_format":"url"})"},
           {"pcm", minimax,
            R"({"audio_setting":{"format":"pcm","sample_rate":24000},"output_format":"url"})"},
           {"opus", minimax, "'mp3', 'flac', 'wav', 'pcm'"},
           {"", wav_first, R"({"output_format":"mp3"})"},
           {"pcm", wav_first, R"({"output_format":"wav"})"},
           {"opus",
            R"("output_format": {"type": "object", "properties": {"codec": {"type": "string",
             "enum": ["MP3", "OGG_OPUS"], "default": "MP3"}}})",
            R"({"output_format":{"codec":"OGG_OPUS"}})"},
           {"mp3", "", "{}"},
           {"wav", "", "'mp3'"},
       }) {
    CAPTURE(c.format);
    CAPTURE(c.inputs);
    Wish wish = speech();
    if (!c.format.empty()) wish.output_format = c.format;
    const auto made = plan::make_plan(wish, speaker(c.inputs), {}, {});
    if (!made) {
      CHECK(made.error().kind == ErrorKind::unsupported_value);
      CHECK(made.error().field == "response_format");
      CHECK(made.error().message.ends_with("are: " + c.want + "."));
      continue;
    }
    auto body = nlohmann::json::parse(body_of(*made));
    body.erase("text");
    CHECK(body.dump() == c.want);
  }
}

TEST_CASE("what the examples of a result show is what the model makes by itself") {
  const auto wav =
      speaker("", R"("text": {"type": "string"})",
              R"({"audio":{"type":"object","examples":[{"url":"https://fal.media/a.wav"}],
                              "properties":{"url":{"type":"string"}}}})");
  for (const char* format : {"wav", "pcm", "mp3"}) {
    Wish wish = speech();
    wish.output_format = format;
    CHECK(body_of(sound_plan(wish, wav)) == R"({"text":"Good morning"})");
  }
  Wish wish = speech();
  wish.output_format = "flac";
  CHECK(refusal(wish, wav).field == "response_format");
}

TEST_CASE("by address a sound is told as what the model makes, and refused if it makes no such") {
  const std::string elevenlabs =
      R"("output_format": {"type": "string", "default": "mp3_44100_128",
    "enum": ["mp3_44100_128", "pcm_24000", "opus_48000_32"]})";
  const std::string wav_first =
      R"("output_format": {"type": "string", "enum": ["wav", "mp3"], "default": "wav"})";
  const auto wav =
      speaker("", R"("text": {"type": "string"})",
              R"({"audio":{"type":"object","examples":[{"url":"https://fal.media/a.wav"}],
                              "properties":{"url":{"type":"string"}}}})");
  Wish wish = speech();
  wish.response_format = ResponseFormat::url;
  const auto refused = [&](const char* format, const profile::Profile& model,
                           const std::string& list) {
    CAPTURE(format);
    wish.output_format = format;
    const Error error = refusal(wish, model);
    CHECK(error.kind == ErrorKind::unsupported_value);
    CAPTURE(error.message);
    CHECK(error.message.ends_with("are: " + list + "."));
  };
  refused("pcm", speaker(wav_first), "'mp3', 'wav'");
  refused("wav", speaker(elevenlabs), "'mp3', 'opus', 'pcm'");
  refused("pcm", wav, "'wav'");
  refused("wav", speaker(""), "'mp3'");

  wish.output_format = "wav";
  CHECK(sound_plan(wish, wav).output_format == "wav");
  wish.output_format = "pcm";
  CHECK(sound_plan(wish, speaker(elevenlabs)).output_format == "pcm");
  wish.output_format = "mp3";
  CHECK(sound_plan(wish, speaker(wav_first)).output_format == "mp3");
  const plan::Plan other = sound_plan(wish, wav);
  CHECK(other.output_format == "wav");
  CHECK(note(other, "response_format") == "wav comes, which is what the model makes");
  const plan::Plan unknown = sound_plan(wish, speaker(""));
  CHECK_FALSE(unknown.output_format.has_value());
  CHECK(has_note(unknown, "response_format", "may be no mp3"));
  wish.output_format.reset();
  CHECK_FALSE(has_note(sound_plan(wish, wav), "response_format"));
  CHECK_FALSE(sound_plan(wish, wav).output_format.has_value());
}

TEST_CASE("what can be made of the model's sound is not refused, and told with the plan") {
  struct Case {
    std::string format, inputs, made, sent;
  };
  const std::string url = R"("examples":[{"url":"https://fal.media/a.)";
  const plan::Options converts{.converted_sounds = {"mp3", "opus", "flac", "wav", "pcm"}};
  for (const Case& c : std::vector<Case>{
           {"opus", "", "opus", "{}"},
           {"flac", "", "flac", "{}"},
           {"mp3", "", "mp3", "{}"},
           {"", "", "mp3", "{}"},
           {"wav", "", "wav", "{}"},
           {"pcm", "", "pcm", "{}"},
           {"aac", "", "", "'mp3', 'opus', 'flac', 'wav', 'pcm'"},
           // Whole samples, if the model offers them.
           {"flac", R"("output_format": {"type": "string", "enum": ["mp3", "wav"]})", "flac",
            R"({"output_format":"wav"})"},
           // Samples in a row need no converter.
           {"wav", R"("output_format": {"type": "string", "enum": ["mp3", "pcm_24000"]})", "wav",
            R"({"output_format":"pcm_24000"})"},
       }) {
    CAPTURE(c.format);
    CAPTURE(c.inputs);
    for (const char* own : {"ogg", "wav"}) {
      const auto model = speaker(c.inputs, R"("text": {"type": "string"})",
                                 R"({"audio":{"type":"object",)" + url + own +
                                     R"("}],"properties":{"url":{"type":"string"}}}})");
      Wish wish = speech();
      if (!c.format.empty()) wish.output_format = c.format;
      const auto made = plan::make_plan(wish, model, {}, converts);
      if (!made) {
        CHECK(made.error().message.ends_with("are: " + c.sent + "."));
        continue;
      }
      if (own == std::string("ogg") || c.format != "wav") {
        CHECK(made->output_format.value_or("") == c.made);
      }
      auto body = nlohmann::json::parse(body_of(*made));
      body.erase("text");
      if (own == std::string("ogg")) CHECK(body.dump() == c.sent);
    }
  }
  // What nobody here can read is refused, as long as mp3 is not asked for.
  const auto unknown = speaker("");
  Wish wish = speech();
  wish.output_format = "flac";
  CHECK(plan::make_plan(wish, unknown, {}, converts).error().field == "response_format");
  wish.output_format = "mp3";
  CHECK(plan::make_plan(wish, unknown, {}, converts).has_value());
  // The client's own word for the model rules.
  const auto own_word = speaker(R"("output_format": {"type": "string", "enum": ["mp3", "wav"]})");
  wish = speech();
  wish.native.emplace_back("output_format", Json::string("wav"));
  CHECK_FALSE(sound_plan(wish, own_word).output_format.has_value());
}

TEST_CASE("a model that takes a list gets a list of one") {
  auto document = nlohmann::json::parse(testing::model_document(
      "fal-ai/dialogue",
      R"({"inputs": {"type": "array", "items": {"type": "object", "required": ["text", "voice"],
          "properties": {"text": {"type": "string"}, "voice": {"type": "string", "examples": ["Aria"]}}}}})",
      R"({"audio":{"type":"object","properties":{"url":{"type":"string"}}}})"));
  document["info"]["x-fal-metadata"]["category"] = "text-to-audio";
  const auto model = profile::read_profile(document.dump());
  REQUIRE(model);
  CHECK(body_of(sound_plan(speech(), **model)) ==
        R"({"inputs":[{"text":"Good morning","voice":"Aria"}]})");
}

TEST_CASE("what an element of a list must have besides is what the document shows, or a zero") {
  auto document = nlohmann::json::parse(testing::model_document(
      "fal-ai/scene",
      R"({"scene": {"type": "array", "items": {"type": "object", "required": ["text", "speaker_id"],
          "properties": {"text": {"type": "string"}, "speaker_id": {"type": "integer"}}}}})",
      R"({"audio":{"type":"object","properties":{"url":{"type":"string"}}}})"));
  document["info"]["x-fal-metadata"]["category"] = "text-to-audio";
  const auto model = profile::read_profile(document.dump());
  REQUIRE(model);
  CHECK(body_of(sound_plan(speech(), **model)) ==
        R"({"scene":[{"speaker_id":0,"text":"Good morning"}]})");
}

TEST_CASE("a language is sent as the model spells it") {
  const auto model = speaker(
      R"x("language_code": {"type": "string", "enum": ["English (US)", "German (Germany)"]})x");
  for (const std::vector<std::string>& c : std::vector<std::vector<std::string>>{
           {"en", "English (US)"}, {"German", "German (Germany)"}, {"deu", "German (Germany)"}}) {
    Wish wish = speech();
    wish.language = c[0];
    CHECK(models::sent(sound_plan(wish, model), "language_code") == '"' + c[1] + '"');
  }
}

TEST_CASE("a model that makes something else is refused by its name") {
  CHECK(refusal(speech(), models::with({})).field == "model");
  CHECK(refusal(hearing(), speaker("")).field == "model");
  CHECK(refusal(hearing(), listener("", R"({"prediction": {"type": "integer"}})")).field ==
        "model");
}

TEST_CASE("times, speakers, language and task go to what a listening model has for them") {
  const std::string whisper =
      R"("chunk_level": {"type": "string", "enum": ["none", "segment", "word"], "default": "segment"},
    "diarize": {"type": "boolean", "default": false},
    "language": {"type": "string", "enum": ["en", "de"]},
    "task": {"type": "string", "enum": ["transcribe", "translate"], "default": "transcribe"},
    "prompt": {"type": "string"})";
  const std::string chunks =
      R"({"text": {"type": "string"}, "chunks": {"type": "array", "items": {"type": "object",
    "properties": {"text": {"type": "string"}, "timestamp": {"type": "array"}}}}})";
  const auto model = listener(whisper, chunks);
  struct Case {
    void (*change)(Wish&);
    std::string want;
  };
  for (const Case& c : std::vector<Case>{
           {[](Wish&) {}, "{}"},
           {[](Wish& w) { w.times = Times::segments; }, "{}"},
           {[](Wish& w) { w.times = Times::words; }, R"({"chunk_level":"word"})"},
           {[](Wish& w) { w.speakers = true; }, R"({"diarize":true})"},
           {[](Wish& w) { w.language = "German"; }, R"({"language":"de"})"},
           {[](Wish& w) { w.translate = true; }, R"({"task":"translate"})"},
           {[](Wish& w) { w.prompt = "fal.ai"; }, R"({"prompt":"fal.ai"})"},
       }) {
    Wish wish = hearing();
    c.change(wish);
    CAPTURE(c.want);
    const plan::Plan plan = sound_plan(wish, model);
    auto body =
        nlohmann::json::parse(plan::render(plan.jobs.at(0), {Body(std::string("u"))}, {}).str());
    CHECK(body["audio_url"] == "u");
    body.erase("audio_url");
    CHECK(body.dump() == c.want);
    CHECK((plan.times == Times::words) == (c.want.find("word") != std::string::npos));
  }
  const auto plain = listener("", R"({"output": {"type": "string"}})");
  Wish wish = hearing();
  wish.translate = true;
  CHECK(refusal(wish, plain).field == "model");
  wish = hearing();
  wish.times = Times::segments;
  CHECK(has_note(sound_plan(wish, plain), "response_format"));
  wish.needs_times = true;
  CHECK(refusal(wish, plain).kind == ErrorKind::unsupported_value);
  wish = hearing();
  wish.speakers = true;
  CHECK(refusal(wish, plain).field == "response_format");
  wish = hearing();
  wish.language = "fr";
  CHECK(refusal(wish, model).field == "language");
}

TEST_CASE("a model that listens gets the sound, whatever its input is called") {
  auto document = nlohmann::json::parse(testing::model_document(
      "fal-ai/hears", R"({"file_url": {"type": "string"}, "hint": {"type": "string"}})",
      R"({"text": {"type": "string"}})"));
  document["info"]["x-fal-metadata"]["category"] = "audio-to-text";
  document["components"]["schemas"]["ModelInput"]["required"] = nlohmann::json::array({"file_url"});
  const auto model = profile::read_profile(document.dump());
  REQUIRE(model);
  CHECK(body_of(sound_plan(hearing(), **model)) == R"({"file_url":"https://example.org/a.wav"})");
}

TEST_CASE("a text is read with its times, whatever the model calls them") {
  const auto read = [](std::string_view body, Times times = Times::none) {
    const auto result =
        plan::read_result(std::make_shared<const std::string>(body), {"text"}, Medium::text, times);
    REQUIRE(result);
    return *result->images.at(0).transcript;
  };
  const Transcript whisper = read(
      R"({"text": " Hello there. Bye.", "inferred_languages": ["en"], "chunks": [
          {"timestamp": [0.0, 1.5], "text": " Hello there.", "speaker": null},
          {"timestamp": [1.5, null], "text": " Bye."}]})");
  CHECK(whisper.language == "en");
  CHECK(whisper.segments == std::vector<Utterance>{{"Hello there.", 0.0, 1.5}, {"Bye.", 1.5, 1.5}});
  CHECK(whisper.seconds == 1.5);
  const Transcript scribe = read(R"({"text": "Hi you. Oh", "language_code": "eng", "words": [
      {"text": "Hi", "start": 0, "end": 0.2, "type": "word", "speaker_id": "s0"},
      {"text": " ", "start": 0.2, "end": 0.3, "type": "spacing", "speaker_id": "s0"},
      {"text": "you.", "start": 0.3, "end": 0.5, "type": "word", "speaker_id": "s0"},
      {"text": " ", "start": 0.5, "end": 0.6, "type": "spacing", "speaker_id": "s0"},
      {"text": "Oh", "start": 0.6, "end": 0.9, "type": "word", "speaker_id": "s1"}]})");
  CHECK(scribe.words.size() == 3);
  CHECK(scribe.segments ==
        std::vector<Utterance>{{"Hi you.", 0.0, 0.5, "s0"}, {"Oh", 0.6, 0.9, "s1"}});
  const Transcript words = read(R"({"text": "a b", "chunks": [
      {"timestamp": [0, 1], "text": " a"}, {"timestamp": [1, 2], "text": " b"}]})",
                                Times::words);
  CHECK(words.words.size() == 2);
  CHECK(words.segments == std::vector<Utterance>{{"a b", 0.0, 2.0}});
  const Transcript in_ms = read(R"({"text": "a b", "audio_duration": 2, "words": [
      {"text": "a", "start": 0, "end": 900}, {"text": "b", "start": 900, "end": 1900}]})");
  CHECK(in_ms.words.back().end == 1.9);
  const Transcript whisperx = read(R"({"segments": [{"start_time": 0, "end_time": 2, "text": "a b",
      "words": [{"word": "a", "start": 0, "end": 1}, {"word": "b", "start": 1, "end": 2}]}]})");
  CHECK(whisperx.text == "a b");
  CHECK(whisperx.words.size() == 2);
}

TEST_CASE("how long a recording plays is known beforehand, if its head tells") {
  const std::string wav = media::head_for_pcm() + std::string(144'000, '\0');
  const auto model = listener("", R"({"text": {"type": "string"}})");
  Wish wish = hearing();
  CHECK_FALSE(sound_plan(wish, model).expected.seconds.has_value());
  wish.images.front() = {.bytes = wav, .medium = Medium::audio};
  CHECK(sound_plan(wish, model).expected.seconds == 3.0);
  // Of a long one the beginning alone is in memory.
  wish.images.front().bytes = std::string_view(wav).substr(0, 1000);
  wish.images.front().source = std::make_shared<tests::TextSource>(wav);
  CHECK(sound_plan(wish, model).expected.seconds == 3.0);
  // An mp3 whose table says that it has 1,000 frames of 1,152 samples.
  std::string mp3 = "\xFF\xFB\x90\x64" + std::string(413, '\0');
  mp3.replace(36, 12, std::string("Xing\0\0\0\1\0\0\3\xE8", 12));
  wish.images.front() = {.bytes = mp3, .medium = Medium::audio};
  CHECK(sound_plan(wish, model).expected.seconds == doctest::Approx(26.12).epsilon(0.001));
  wish.images.front() = {.bytes = "ID3", .medium = Medium::audio};
  CHECK_FALSE(sound_plan(wish, model).expected.seconds.has_value());
}

// The audio API over real sockets: speech as it comes, transcripts in every format, lists.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/media.hpp"
#include "falproxy/plain_codecs.hpp"
#include "falproxy/wav.hpp"
#include "folder.hpp"
#include "served.hpp"
#include "sound_converter.hpp"

namespace falproxy::app {
namespace {

using namespace test;

constexpr std::string_view speech_path = "/v1/audio/speech";
constexpr std::string_view hearing_path = "/v1/audio/transcriptions";

const Environment audio_models{
    {"SUPPORTED_MODELS",
     "tale:falsim/storyteller,news:falsim/announcer,ear:falsim/listener,flux:fal-ai/flux/dev"}};

std::string speech_body(std::string_view model, std::string_view more = {}) {
  return R"({"model":")" + std::string(model) + R"(","input":"Good morning, harbour.")" +
         std::string(more) + "}";
}

// What the model makes by itself.
const std::string as_wav = R"(,"response_format":"wav")";

// A WAV of silence of a quarter of a second.
std::string quiet_wav() {
  std::string file(
      "RIFF\xff\xff\xff\xffWAVEfmt "
      "\x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\xff\xff\xff\xff",
      44);
  return file + std::string(4000, '\0');
}

std::string sound_form(const std::vector<std::pair<std::string, std::string>>& fields,
                       const std::string& file) {
  std::string body;
  for (const auto& [name, value] : fields)
    body += "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
  body +=
      "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n" +
      file + "\r\n--b--\r\n";
  return body;
}

Received hear(const Served& server, std::vector<std::pair<std::string, std::string>> fields,
              std::string_view path = hearing_path, const std::string& file = quiet_wav()) {
  fields.insert(fields.begin(), {"model", "ear"});
  RawClient client(server.port());
  const std::string body = sound_form(fields, file);
  return client.exchange("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + key_field() +
                         "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                         std::to_string(body.size()) + "\r\n\r\n" + body);
}

nlohmann::json last_input(const Served& server) {
  return nlohmann::json::parse(server.sim.submits().back().input);
}

}  // namespace

TEST_CASE("speech comes as its true type, whatever was asked for") {
  struct Case {
    std::string model, more, type, input;
    bool note = false;
  };
  Served server(audio_models);
  const bool converts = !SoundConverter::made().empty();
  const std::string mp3_or_wav = converts ? "audio/mpeg" : "audio/wav";
  for (const Case& c : std::vector<Case>{
           {"tale", "", mp3_or_wav, R"({"prompt":"Good morning, harbour."})", !converts},
           {"tale", R"(,"response_format":"mp3","voice":"alloy")", mp3_or_wav,
            R"({"prompt":"Good morning, harbour.","voice":"af_alloy"})", !converts},
           {"tale", R"(,"response_format":"wav","voice":{"id":"bm_george"},"speed":4)", "audio/wav",
            R"({"prompt":"Good morning, harbour.","speed":2.0,"voice":"bm_george"})", false},
           {"tale", R"(,"response_format":"pcm")", "audio/pcm; rate=24000",
            R"({"prompt":"Good morning, harbour."})", false},
           {"news", R"(,"instructions":"slowly")", "audio/mpeg",
            R"({"prompt":"slowly","text":"Good morning, harbour."})", false},
           {"news", R"(,"response_format":"pcm","instructions":"None")", "audio/pcm; rate=24000",
            R"({"output_format":"pcm_24000","text":"Good morning, harbour."})", false},
           {"news", R"(,"response_format":"wav")", "audio/wav",
            R"({"output_format":"pcm_24000","text":"Good morning, harbour."})", false},
       }) {
    CAPTURE(c.model);
    CAPTURE(c.more);
    const Received answer = server.post(speech_path, speech_body(c.model, c.more));
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    CHECK(answer.header("content-type") == c.type);
    CHECK(last_input(server).dump() == c.input);
    CHECK((answer.header("x-falproxy-notes").find("response_format") != std::string::npos) ==
          c.note);
    CHECK(!answer.header("x-fal-request-id").empty());
    CHECK(answer.header("transfer-encoding") == "chunked");
    const auto type = media::sniff_sound(answer.body);
    if (c.type == "audio/wav") CHECK(type == media::SoundType::wav);
    if (c.type == "audio/mpeg") CHECK(type == media::SoundType::mp3);
    // 22 characters are 1466 ms, of 24 samples of two bytes each.
    const std::size_t samples = std::size_t{1466} * 48;
    if (c.type.starts_with("audio/pcm")) CHECK(answer.body.size() == samples);
    if (c.type == "audio/wav") CHECK(answer.body.size() == samples + 44);
  }
}

TEST_CASE("a sound is made into what the model does not make, and says what it is") {
  if (SoundConverter::made().empty()) return;
  struct Case {
    std::string model, format, type;
    std::optional<media::SoundType> kind;
  };
  Served server(audio_models);
  for (const Case& c : std::vector<Case>{
           {"tale", "mp3", "audio/mpeg", media::SoundType::mp3},
           {"tale", "flac", "audio/flac", media::SoundType::flac},
           {"tale", "opus", "audio/ogg; codecs=opus", media::SoundType::opus},
           {"news", "flac", "audio/flac", media::SoundType::flac},
       }) {
    CAPTURE(c.model);
    CAPTURE(c.format);
    const std::string more = R"(,"response_format":")" + c.format + '"';
    const Received answer = server.post(speech_path, speech_body(c.model, more));
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    CHECK(answer.header("content-type") == c.type);
    CHECK(media::sniff_sound(answer.body) == c.kind);
    auto back = SoundConverter::create(answer.body, "pcm");
    REQUIRE(back.has_value());
    std::size_t samples = 0;
    for (Result<std::string> piece = (*back)->next(); piece && !piece->empty();
         piece = (*back)->next())
      samples += piece->size() / 2;
    CHECK(samples > std::size_t{1400} * 24);
    CHECK(samples < std::size_t{1600} * 24);
  }
  CHECK(server.sim.stats().submits == 4);
  // The client's own word for the model is not undone.
  CHECK(server.post(speech_path, speech_body("news", R"(,"output_format":"pcm_24000")"))
            .header("content-type") != "audio/mpeg");
}

TEST_CASE("what comes and cannot be read is handed on as it is for mp3, and fails for the rest") {
  if (SoundConverter::made().empty()) return;
  Served server(audio_models);
  falsim::Fault odd{.step = falsim::Step::media};
  odd.answer =
      falsim::Answer{.status = 200, .body = "OggS and nothing more", .content_type = "audio/ogg"};
  server.sim.add_fault(odd);
  const Received mp3 = server.post(speech_path, speech_body("tale"));
  CHECK(mp3.status == 200);
  CHECK(mp3.header("content-type") == "audio/ogg");
  CHECK(mp3.body == odd.answer->body);
  const Received flac =
      server.post(speech_path, speech_body("tale", R"(,"response_format":"flac")"));
  CHECK(flac.status == 502);
  CHECK(text_at(flac.body, "error.message").find("cannot be read") != std::string::npos);
}

TEST_CASE("samples that begin as a frame of mp3 does are samples all the same") {
  Served server(audio_models);
  falsim::Fault samples{.step = falsim::Step::media};
  samples.answer = falsim::Answer{.status = 200,
                                  .body = std::string("\xff\xff\0\0\1\0\0\0", 8),
                                  .content_type = "application/octet-stream"};
  server.sim.add_fault(samples);
  const Received pcm = server.post(speech_path, speech_body("news", R"(,"response_format":"pcm")"));
  CHECK(pcm.header("content-type") == "audio/pcm; rate=24000");
  CHECK(pcm.body == samples.answer->body);
  const Received wav = server.post(speech_path, speech_body("news", R"(,"response_format":"wav")"));
  CHECK(wav.header("content-type") == "audio/wav");
  CHECK(wav.body == media::head_for_pcm() + samples.answer->body);
}

TEST_CASE("what cannot be made is refused before anything is paid") {
  struct Case {
    std::string model, more, param, code;
  };
  Served server(audio_models);
  for (const Case& c : std::vector<Case>{
           {"tale", R"(,"response_format":"aac")", "response_format", "unsupported_value"},
           {"tale", R"(,"voice":"nobody")", "voice", "invalid_value"},
           {"tale", R"(,"speed":5)", "speed", "invalid_value"},
           {"tale", R"(,"speed":"fast")", "speed", "invalid_type"},
           {"flux", "", "model", "invalid_value"},
           {"ear", "", "model", "invalid_value"},
           {"nope", "", "model", "invalid_value"},
       }) {
    CAPTURE(c.more);
    const Received answer = server.post(speech_path, speech_body(c.model, c.more));
    CHECK(answer.status == 400);
    CHECK(text_at(answer.body, "error.param") == c.param);
    CHECK(text_at(answer.body, "error.code") == c.code);
    CHECK(text_at(answer.body, "error.type") == "invalid_request_error");
  }
  CHECK(text_at(server.post(speech_path, R"({"model":"tale"})").body, "error.param") == "input");
  const std::string long_text(2001, 'a');
  CHECK(text_at(server.post(speech_path, R"({"model":"tale","input":")" + long_text + "\"}").body,
                "error.param") == "input");
  CHECK(server.post("/v1/images/generations", R"({"model":"tale","prompt":"a"})").status == 400);
  CHECK(server.sim.stats().submits == 0);
}

TEST_CASE("speech in events is deltas of base64 and one end with a full usage") {
  Served server(audio_models);
  const Received plain = server.post(speech_path, speech_body("tale", as_wav));
  const Received answer =
      server.post(speech_path, speech_body("tale", as_wav + R"(,"stream_format":"sse")"));
  REQUIRE(answer.status == 200);
  CHECK(answer.header("content-type") == "text/event-stream; charset=utf-8");
  std::string sound;
  int deltas = 0;
  std::string last;
  for (std::size_t at = 0; at < answer.body.size();) {
    const std::size_t end = answer.body.find("\r\n\r\n", at);
    REQUIRE(end != std::string::npos);
    const std::string line = answer.body.substr(at, end - at);
    REQUIRE(line.starts_with("data: "));
    last = line.substr(6);
    if (text_at(last, "type") == "speech.audio.delta") {
      ++deltas;
      sound += PlainCodecs().decode_base64(text_at(last, "audio")).value_or("");
    }
    at = end + 4;
  }
  CHECK(deltas > 1);
  CHECK(sound == plain.body);
  CHECK(text_at(last, "type") == "speech.audio.done");
  CHECK(at(last, "usage.total_tokens").as_integer() == 0);
}

TEST_CASE("a sound that breaks off at fal is fetched on where it stopped") {
  Served server(audio_models);
  const Received whole = server.post(speech_path, speech_body("tale", as_wav));
  falsim::Fault cut{.step = falsim::Step::media};
  cut.cut_after = 30'000;
  cut.times = 1;
  server.sim.add_fault(cut);
  const Received answer = server.post(speech_path, speech_body("tale", as_wav + R"(,"user":"b")"));
  CHECK(answer.status == 200);
  CHECK(answer.body == whole.body);
}

TEST_CASE("a sound that cannot be had whole ends too early, and a repeat pays nothing") {
  Served server(audio_models);
  falsim::Fault cut{.step = falsim::Step::media};
  cut.cut_after = 30'000;
  server.sim.add_fault(cut);
  RawClient client(server.port());
  const std::string fields = key_field() + "x-stainless-timeout: 1\r\n";
  client.send(test::post(speech_path, speech_body("tale", as_wav), fields));
  const std::string answer = client.rest();
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.size() > 30'000);
  CHECK_FALSE(answer.ends_with("\r\n0\r\n\r\n"));
  CHECK(
      test::eventually([&] { return server.log().find("download_failed") != std::string::npos; }));
  server.sim.clear_faults();
  const Received again =
      server.post(speech_path, speech_body("tale", as_wav), "x-stainless-timeout: 20\r\n");
  CHECK(again.body.size() == 1466 * 48 + 44);
  CHECK(server.sim.stats().submits == 1);
}

TEST_CASE("a client of speech, or of a transcript, that leaves has its job cancelled at fal") {
  for (const bool is_speech : {true, false}) {
    CAPTURE(is_speech);
    const Served server(audio_models, {.job_time = Milliseconds(60'000)});
    RawClient client(server.port());
    const std::string form = sound_form({{"model", "ear"}}, quiet_wav());
    client.send(
        is_speech ? test::post(std::string(speech_path), speech_body("tale"), key_field())
                  : "POST " + std::string(hearing_path) + " HTTP/1.1\r\nHost: a\r\n" + key_field() +
                        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                        std::to_string(form.size()) + "\r\n\r\n" + form);
    REQUIRE(server.sim.wait_for(
        [](const falsim::FalsimStats& stats) { return stats.in_progress == 1; }));
    client.reset();
    CHECK(
        server.sim.wait_for([](const falsim::FalsimStats& stats) { return stats.cancelled == 1; }));
  }
}

TEST_CASE(
    "a failure of speech after a job was taken is a 400 for the AI SDK, which repeats all else") {
  for (const auto& [name, status] : std::vector<std::pair<std::string, int>>{
           {"ai/7.0.173 ai-sdk/provider-utils/4.0.1 runtime/node.js/24", 400},
           {"OpenAI/JS 7.57.0", 502}}) {
    const std::string& agent = name;
    CAPTURE(agent);
    Served server(audio_models);
    server.sim.add_fault(falsim::Fault::preset("job_500").value());
    const std::string fields = "User-Agent: " + agent + "\r\n";
    const Received speech =
        server.post(std::string(speech_path), speech_body("tale", as_wav), fields);
    CAPTURE(speech.body);
    CHECK(speech.status == status);
    CHECK(speech.header("x-should-retry") == "false");
    const std::string form = sound_form({{"model", "ear"}}, quiet_wav());
    RawClient client(server.port());
    const Received heard = client.exchange(
        "POST " + std::string(hearing_path) + " HTTP/1.1\r\nHost: a\r\n" + key_field() + fields +
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
        std::to_string(form.size()) + "\r\n\r\n" + form);
    CAPTURE(heard.body);
    CHECK(heard.status == status);
    CHECK(heard.header("x-should-retry") == "false");
    CHECK(server.sim.stats().submits == 2);
  }
}

TEST_CASE("a transcript comes in each of OpenAI's formats") {
  Served server(audio_models);
  const Received plain = hear(server, {{"language", "English"}, {"temperature", "0"}});
  REQUIRE_MESSAGE(plain.status == 200, plain.body);
  CHECK(text_at(plain.body, "text") == "Good morning, harbour. The lamp is lit.");
  CHECK(text_at(plain.body, "usage.type") == "duration");
  CHECK(last_input(server)["language"] == "en");
  const std::string url = last_input(server)["audio_url"];
  REQUIRE(server.sim.upload(url));
  CHECK(server.sim.upload(url)->bytes == quiet_wav());
  CHECK(server.sim.upload(url)->content_type == "audio/wav");
  CHECK(url.ends_with("/file.wav"));

  const Received text = hear(server, {{"response_format", "text"}});
  CHECK(text.body == "Good morning, harbour. The lamp is lit.\n");
  CHECK(text.header("content-type") == "text/plain; charset=utf-8");
  CHECK(hear(server, {{"response_format", "srt"}}).body ==
        "1\n00:00:00,000 --> 00:00:01,400\nGood morning, harbour.\n\n"
        "2\n00:00:02,000 --> 00:00:03,200\nThe lamp is lit.\n\n");
  CHECK(hear(server, {{"response_format", "vtt"}})
            .body.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.400\nGood morning"));

  const Received verbose = hear(server, {{"response_format", "verbose_json"}});
  CHECK(text_at(verbose.body, "language") == "english");
  CHECK(text_at(verbose.body, "task") == "transcribe");
  CHECK(at(verbose.body, "duration").as_number() == 3.2);
  CHECK(at(verbose.body, "segments").size() == 2);
  CHECK(at(verbose.body, "segments.1").size() == 10);
  CHECK(at(verbose.body, "words").is_null());

  const auto submits = server.sim.stats().submits;
  const Received words = hear(server, {{"response_format", "verbose_json"},
                                       {"timestamp_granularities[]", "word"},
                                       {"timestamp_granularities[]", "segment"}});
  CHECK(server.sim.stats().submits == submits + 1);
  CHECK(at(words.body, "words").size() == 7);
  CHECK(text_at(words.body, "words.2.word") == "harbour.");
  CHECK(text_at(words.body, "segments.1.text") == "The lamp is lit.");

  const Received diarized = hear(server, {{"response_format", "diarized_json"}});
  CHECK(text_at(diarized.body, "segments.0.speaker") == "A");
  CHECK(text_at(diarized.body, "segments.1.speaker") == "B");
  CHECK(text_at(diarized.body, "segments.1.id") == "seg_2");
}

TEST_CASE("a long recording comes to fal as it was sent, and leaves nothing on the disk") {
  const testing::Folder folder;
  const std::string recording = quiet_wav() + std::string(3'000'000, 'a');
  for (const char* way : {"storage", "inline"}) {
    CAPTURE(way);
    Environment with = audio_models;
    with["STATE_DIR"] = folder.path();
    with["IMAGE_UPLOAD"] = way;
    Served server(with);
    // The file stands before the model, and the request is sent twice, as SDKs do.
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n" +
        recording +
        "\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\near\r\n--b--\r\n";
    for (int i = 0; i < 2; ++i) {
      RawClient client(server.port());
      const Received got =
          client.exchange("POST " + std::string(hearing_path) + " HTTP/1.1\r\nHost: a\r\n" +
                          key_field() + "x-stainless-retry-count: " + std::to_string(i) + "\r\n" +
                          "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                          std::to_string(form.size()) + "\r\n\r\n" + form);
      REQUIRE_MESSAGE(got.status == 200, got.body);
    }
    CHECK(server.sim.stats().submits == 1);
    const std::string url = last_input(server)["audio_url"];
    if (std::string_view(way) == "storage") {
      REQUIRE(server.sim.upload(url));
      CHECK(server.sim.upload(url)->bytes == recording);
      CHECK(server.sim.upload(url)->content_type == "audio/wav");
    } else {
      const std::string head = "data:audio/wav;base64,";
      REQUIRE(url.starts_with(head));
      CHECK(PlainCodecs().decode_base64(url.substr(head.size())) == recording);
    }
    for (const auto& file : std::filesystem::directory_iterator(folder.path()))
      CHECK(file.path().string().find("upload") == std::string::npos);
  }
}

TEST_CASE("recordings that are too many for the disk are refused with 503, and nothing is paid") {
  const testing::Folder folder;
  Environment with = audio_models;
  with["STATE_DIR"] = folder.path();
  with["MAX_BODY_MEMORY"] = "4MiB";
  Served server(with);
  const Received got = hear(server, {}, hearing_path, quiet_wav() + std::string(5'000'000, 'a'));
  CHECK(got.status == 503);
  CHECK(server.sim.stats().submits == 0);
  CHECK(hear(server, {}, hearing_path, quiet_wav() + std::string(2'000'000, 'a')).status == 200);
}

TEST_CASE("a streamed transcript is deltas whose texts together are the text") {
  Served server(audio_models);
  const Received answer = hear(server, {{"stream", "true"}});
  CHECK(answer.header("content-type") == "text/event-stream; charset=utf-8");
  std::string text;
  std::size_t from = 0;
  const std::string mark = R"("delta":")";
  for (std::size_t found = answer.body.find(mark); found != std::string::npos;
       found = answer.body.find(mark, from)) {
    from = answer.body.find('"', found + mark.size());
    text += answer.body.substr(found + mark.size(), from - found - mark.size());
  }
  CHECK(text == "Good morning, harbour. The lamp is lit.");
  CHECK(answer.body.find("transcript.text.done") != std::string::npos);
}

TEST_CASE("a translation asks the model for it, and what is no sound is refused") {
  Served server(audio_models);
  const Received answer =
      hear(server, {{"response_format", "verbose_json"}}, "/v1/audio/translations");
  REQUIRE_MESSAGE(answer.status == 200, answer.body);
  CHECK(text_at(answer.body, "task") == "translate");
  CHECK(last_input(server)["task"] == "translate");
  const auto submits = server.sim.stats().submits;
  const Received no_sound = hear(server, {}, hearing_path, "hello");
  CHECK(no_sound.status == 400);
  CHECK(text_at(no_sound.body, "error.param") == "file");
  CHECK(hear(server, {{"response_format", "diarized_json"}}, "/v1/audio/translations").status ==
        400);
  CHECK(hear(server, {{"language", "Klingon"}}).status == 400);
  CHECK(server.post(hearing_path, "{}").status == 415);
  CHECK(server.sim.stats().submits == submits);
}

TEST_CASE("voices and models are listed, without a key if models are public") {
  for (const char* open : {"false", "true"}) {
    CAPTURE(open);
    Environment with = audio_models;
    with["PUBLIC_MODELS"] = open;
    const Served server(with);
    server.wait_for_documents();
    RawClient client(server.port());
    const Received anybody = client.exchange(test::get("/v1/audio/voices"));
    CHECK(anybody.status == (std::string_view(open) == "true" ? 200 : 401));
    const Received all = server.get("/v1/audio/voices");
    CHECK(at(all.body, "voices").size() == 7);
    CHECK(text_at(all.body, "voices.0.id") == "af_heart");
    CHECK(text_at(all.body, "voices.0.model") == "tale");
    const Received one = server.get("/v1/audio/voices?model=news");
    CHECK(at(one.body, "voices").size() == 3);
    CHECK(text_at(one.body, "voices.0.name") == "Rachel");
    const Received models = server.get("/v1/audio/models");
    CHECK(at(models.body, "models").size() == 2);
    CHECK(text_at(models.body, "models.1.id") == "news");
  }
}

TEST_CASE("an explained request for speech costs nothing and shows the mapping") {
  Served server(audio_models);
  const Received answer = server.post(speech_path, speech_body("tale", R"(,"voice":"nova")"),
                                      "x-falproxy-explain: 1\r\n");
  CHECK(answer.status == 200);
  CHECK(text_at(answer.body, "jobs.0.body.prompt") == "Good morning, harbour.");
  CHECK(server.sim.stats().submits == 0);
}

}  // namespace falproxy::app

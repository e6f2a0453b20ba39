// The models of falsim that speak and listen.
#include <string>

#include "client.hpp"

using namespace falsim_test;

TEST_CASE("a model that speaks makes a file of its type, as long as the text") {
  Falsim sim = start();
  Client client(sim.url());
  const json told =
      client.finish("falsim/storyteller", {{"prompt", std::string(30, 'a')}}).parsed();
  CHECK(told["audio"]["content_type"] == "audio/wav");
  const Heard wav = client.get(told["audio"]["url"], {});
  CHECK(wav.header("content-type") == "audio/wav");
  CHECK(wav.body.starts_with("RIFF"));
  CHECK(wav.body.size() == 44 + 2 * 48'000);
  CHECK(told["audio"]["file_size"] == wav.body.size());

  const json said = client.finish("falsim/announcer", {{"text", "The train is late."}}).parsed();
  const Heard mp3 = client.get(said["audio"]["url"], {});
  CHECK(mp3.header("content-type") == "audio/mpeg");
  CHECK(mp3.body.starts_with("\xFF\xFB"));
  CHECK(mp3.body.size() % 417 == 0);
  const json samples =
      client.finish("falsim/announcer", {{"text", "x"}, {"output_format", "pcm_24000"}}).parsed();
  CHECK(client.get(samples["audio"]["url"], {}).body.size() == 2 * 4800);
}

TEST_CASE("a model that listens tells times and speakers as it is asked for") {
  Falsim sim = start();
  Client client(sim.url());
  const auto hear = [&](json input) {
    input["audio_url"] = "https://example.org/a.wav";
    return client.finish("falsim/listener", input).parsed();
  };
  CHECK(hear({})["chunks"].size() == 2);
  CHECK(hear({{"chunk_level", "word"}})["chunks"].size() == 7);
  CHECK(hear({{"chunk_level", "none"}})["chunks"].empty());
  CHECK(!hear({})["chunks"][0].contains("speaker"));
  CHECK(hear({{"diarize", true}})["chunks"][1]["speaker"] == "SPEAKER_01");
}

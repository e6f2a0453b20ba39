#include <doctest/doctest.h>

#include <string>

#include "app/fake_fal.hpp"
#include "commands/commands.hpp"
#include "commands/table.hpp"
#include "falproxy/json.hpp"

using falproxy::Json;
using falproxy::app::Command;
using falproxy::app::CommandLine;
using falproxy::app::run_models;
using falproxy::app::table_text;
using falproxy::testing::document_of;
using falproxy::testing::FakeFal;

namespace {

constexpr const char* two_settings = "CUSTOM_ACCESS_KEY=access-key-of-s3cret\nAI_KEYS=k1:s3cret\n";

FakeFal& with_models(FakeFal& fal) {
  fal.documents["example/painter"] =
      document_of("example/painter", falproxy::testing::painter_inputs);
  fal.documents["example/editor"] =
      document_of("example/editor", falproxy::testing::editor_inputs, R"("prompt", "image_url")");
  fal.documents["example/swap"] = document_of(
      "example/swap",
      R"("face_image_url": {"type": "string"}, "garment_image_url": {"type": "string"}, "model_name": {"type": "string"})",
      R"("face_image_url", "garment_image_url", "model_name")");
  return fal;
}

Json listed(FakeFal& fal, const std::string& models, bool edits, int want_status) {
  const std::string env =
      fal.folder.write("my.env", std::string(two_settings) + "SUPPORTED_MODELS=" + models + "\n");
  CommandLine line{.command = Command::models, .env_file = env, .json = true, .edits = edits};
  CHECK(run_models(line, fal.surroundings({})) == want_status);
  const auto json = Json::parse(fal.out.str());
  REQUIRE(json.has_value());
  fal.out.str("");
  line.json = false;
  CHECK(run_models(line, fal.surroundings({})) == want_status);
  return *json->find("models");
}

}  // namespace

TEST_CASE("models shows what each configured model takes, in the order of the settings") {
  FakeFal fal;
  const Json models =
      listed(with_models(fal), "b:example/painter+example/editor,a:example/editor", false, 0);
  REQUIRE(models.size() == 2);
  CHECK(models.at(0).find("name")->as_string() == "b");
  CHECK(models.at(0).find("edit_endpoint")->as_string() == "example/editor");
  CHECK(models.at(0).find("takes")->find("max_n")->as_integer() == 4);
  CHECK(models.at(1).find("takes")->find("requires_image")->as_boolean() == true);
  const std::string text = fal.out.str();
  CAPTURE(text);
  CHECK(text.starts_with(
      "MODEL  ENDPOINT         CATEGORY       SIZE      N  IMAGES IN      FORMATS    DOCUMENT\n"));
  CHECK(text.find("b      example/painter  text-to-image  any size  4  by + endpoint  jpeg, png  "
                  "2025-10-09\n") != std::string::npos);
  for (const std::string& request : fal.requests())
    CHECK(request.starts_with("GET https://fal.ai/"));
}

TEST_CASE("models names the document that cannot be had, shows the others, and ends with 1") {
  FakeFal fal;
  const Json models = listed(with_models(fal), "gone:example/gone,a:example/painter", false, 1);
  CHECK(models.at(0).find("error")->as_string()->find("404") != std::string_view::npos);
  CHECK(models.at(1).find("takes").has_value());
  CHECK(fal.out.str().find("unavailable: ") != std::string::npos);
}

TEST_CASE("models --edits tells which models edit, through which input, and why others do not") {
  FakeFal fal;
  const Json models = listed(with_models(fal),
                             "own:example/editor,sibling:example/painter+example/"
                             "editor,none:example/painter,swap:example/swap",
                             true, 0);
  REQUIRE(models.size() == 4);
  CHECK(models.at(0).find("edits")->as_boolean() == true);
  CHECK(models.at(0).find("input")->as_string() == "image_url");
  CHECK(models.at(1).find("edits")->as_boolean() == true);
  CHECK(models.at(1).find("endpoint")->as_string() == "example/editor");
  CHECK(models.at(2).find("edits")->as_boolean() == false);
  CHECK(models.at(2).find("reason")->as_string()->find("takes no images") !=
        std::string_view::npos);
  CHECK(models.at(3).find("edits")->as_boolean() == false);
  CHECK_FALSE(models.at(3).find("reason")->as_string()->empty());
  CHECK(fal.out.str().starts_with("MODEL    ENDPOINT         EDITS  HOW, OR WHY NOT\n"));
}

TEST_CASE("models ends with 2 where settings are wrong") {
  FakeFal fal;
  const std::string env = fal.folder.write("my.env", "PORT=x\n");
  CHECK(run_models({.command = Command::models, .env_file = env}, fal.surroundings({})) == 2);
  CHECK(fal.out.str().empty());
  CHECK(fal.err.str().find("my.env:1: PORT: is not a whole number") != std::string::npos);
}

TEST_CASE("columns line up whatever stands in them") {
  CHECK(table_text({{"A", "B", "C"}, {"long", "x\ny", "z"}, {"", "", "last\x1b[31m"}}) ==
        "A     B  C\nlong  x  z\n      y\n         last?[31m\n");
  CHECK(table_text({{"\u7ed8\u56fe", "x"}, {"abc", "y"}}) == "\u7ed8\u56fe   x\nabc  y\n");
  CHECK(table_text({{"a", "b", "c"}, {"x", "a long last cell"}}) ==
        "a  b  c\nx  a long last cell\n");
  CHECK(table_text({}).empty());
}

TEST_CASE("models --profile shows what is made of the documents in a folder, and what is not") {
  FakeFal fal;
  fal.folder.write("documents/painter.json",
                   document_of("example/painter", falproxy::testing::painter_inputs));
  fal.folder.write("documents/broken.json", "{");
  CommandLine line{.command = Command::models, .profile_folder = fal.folder.at("documents")};
  CHECK(run_models(line, fal.surroundings({})) == 0);
  const std::string text = fal.out.str();
  CHECK(text.find("example/painter  image") != std::string::npos);
  CHECK(text.find("text: prompt") != std::string::npos);
  CHECK(text.find("broken.json") != std::string::npos);
  CHECK(text.find("1 of 2 documents") != std::string::npos);

  line.profile_folder = fal.folder.at("nowhere");
  CHECK(run_models(line, fal.surroundings({})) == 2);
}

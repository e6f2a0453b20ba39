#include "runs/gathering.hpp"

#include <doctest/doctest.h>

#include <string>

namespace falproxy::inline v0::runs {

TEST_CASE("a product tells what was resolved, and what the file says goes before it") {
  plan::Plan plan;
  plan.response_format = ResponseFormat::b64_json;
  plan.size = "1024x1024";
  plan.quality = "high";
  plan.background = "opaque";
  plan.output_format = "jpeg";
  const plan::ResultFile file{
      .content_type = "image/webp", .width = 1000, .height = 700, .revised_prompt = "better"};
  const Product product = product_of(plan, file, {.content = Body(std::string("QUJD"))}, 1234);
  CHECK(product == Product{.content = Body(std::string("QUJD")),
                           .is_address = false,
                           .created = 1234,
                           .size = "1000x700",
                           .quality = "high",
                           .background = "opaque",
                           .output_format = "webp",
                           .revised_prompt = "better",
                           .content_type = "image/webp"});
}

TEST_CASE("a format that was asked for is not overruled by what fal calls the file") {
  plan::Plan plan;
  plan.response_format = ResponseFormat::url;
  plan.size = "1024x1024";
  plan.output_format = "jpeg";
  plan.output_format_sent = true;
  const Product product =
      product_of(plan, {.content_type = "image/webp"}, {.content = Body(std::string("u"))}, 1);
  CHECK(product.is_address);
  CHECK(product.size == "1024x1024");
  CHECK(product.output_format == "jpeg");
}

TEST_CASE("what nobody said is told from the bytes") {
  const Picture seen{.content = Body(std::string("QUJD")),
                     .type = media::ImageType::png,
                     .dimensions = media::Dimensions{64, 48}};
  plan::Plan plan;
  plan.output_format_sent = true;  // and in a word that says no format
  CHECK(product_of(plan, {}, seen, 1).size == "64x48");
  CHECK(product_of(plan, {}, seen, 1).output_format == "png");
  plan.output_format_sent = false;
  CHECK(product_of(plan, {.content_type = "image/webp"}, seen, 1).output_format == "png");
}

}  // namespace falproxy::inline v0::runs

// The examples that AWS publishes of its Signature Version 4.
#include "media_store/aws_signature.hpp"

#include <doctest/doctest.h>

#include <string>

namespace falproxy::app {
namespace {

// 24 May 2013.
const WallTime of_examples{Seconds(1'369'353'600)};
const AwsIdentity aws_example{.key_id = "AKIAIOSFODNN7EXAMPLE",
                              .secret = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")};

std::string signature_in(const std::vector<std::pair<std::string, std::string>>& fields) {
  const std::string& authorization = fields.back().second;
  return authorization.substr(authorization.rfind('=') + 1);
}

}  // namespace

TEST_CASE("requests are signed as in the examples of Amazon S3") {
  struct Case {
    const char* name;
    AwsRequest request;
    const char* want;
  };
  const std::string host = "examplebucket.s3.amazonaws.com";
  for (const Case& c : {
           Case{"GET of an object",
                {.host = host,
                 .path = "/test.txt",
                 .fields = {{"Range", "bytes=0-9"}},
                 .payload = std::string(empty_payload)},
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
           Case{"PUT of an object",
                {.method = "PUT",
                 .host = host,
                 .path = "/test%24file.text",
                 .fields = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                 .payload = aws_payload("Welcome to Amazon S3.")},
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
           Case{"GET of a parameter without a value",
                {.host = host, .query = {{"lifecycle", ""}}, .payload = std::string(empty_payload)},
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
           Case{"GET of a list",
                {.host = host,
                 .query = {{"prefix", "J"}, {"max-keys", "2"}},
                 .payload = std::string(empty_payload)},
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
       }) {
    CAPTURE(c.name);
    CHECK(signature_in(aws_signed_fields(c.request, aws_example, of_examples)) == c.want);
  }
}

TEST_CASE("an address is presigned as in the example of Amazon S3") {
  CHECK(aws_presigned_target({.host = "examplebucket.s3.amazonaws.com", .path = "/test.txt"},
                             aws_example, of_examples, Seconds(86'400)) ==
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F"
        "20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
        "X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST_CASE("a request is signed as in the example of the general reference") {
  const AwsIdentity of_iam{.key_id = "AKIDEXAMPLE",
                           .secret = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                           .service = "iam"};
  const auto fields = aws_signed_fields(
      {.host = "iam.amazonaws.com",
       .query = {{"Action", "ListUsers"}, {"Version", "2010-05-08"}},
       .fields = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
       .payload = std::string(empty_payload)},
      of_iam, WallTime(Seconds(1'440'938'160)));
  CHECK(fields.back().second ==
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

TEST_CASE("a session's token is signed with the request") {
  AwsIdentity session = aws_example;
  session.session_token = Secret("a token");
  const auto fields = aws_signed_fields({.host = "a"}, session, of_examples);
  CHECK(fields[2] == std::pair<std::string, std::string>("x-amz-security-token", "a token"));
  CHECK(fields.back().second.find("x-amz-security-token") != std::string::npos);
  CHECK(aws_presigned_target({.host = "a"}, session, of_examples, Seconds(60))
            .find("X-Amz-Security-Token=a%20token") != std::string::npos);
}

}  // namespace falproxy::app

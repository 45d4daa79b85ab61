# The services' images of one platform, pushed by digest:
#
#   SERVICES=$(ls services | paste -sd,) docker buildx bake --file docker-bake.hcl
#
# They share the stage that compiles. The workflow `images` joins the platforms and gives the names.

variable "REGISTRY" {
  default = "localhost:5000"
}

# Their names with commas between them: the folders of `services/`.
variable "SERVICES" {
  default = ""
}

variable "REVISION" {
  default = "unknown"
}

# The time that files bear; a commit's own makes its images reproducible.
variable "SOURCE_DATE_EPOCH" {
  default = "0"
}

group "default" {
  targets = ["image"]
}

target "image" {
  name   = service
  matrix = { service = split(",", SERVICES) }
  args = {
    SERVICE           = service
    REVISION          = REVISION
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
  attest = ["type=provenance,mode=max", "type=sbom"]
  output = ["type=image,name=${REGISTRY}/${service},push-by-digest=true,name-canonical=true,push=true"]
}

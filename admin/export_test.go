package admin

type SampleForTest = sample

var MergeForTest = merge

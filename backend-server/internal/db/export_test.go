package db

// Estimate is for tests.
var Estimate = estimate

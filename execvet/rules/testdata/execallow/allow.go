package execallow

//executor:allow execnothing because // want `there is no such rule`
var x = 1
